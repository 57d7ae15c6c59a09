"""A result of `bench.sh run` as a kind: what every format and command needs to know of it."""

from __future__ import annotations

import dataclasses

from bench_deepspeed.benchmarks.common import llama_bench
from bench_deepspeed.benchmarks.common.columns import sample_row
from bench_deepspeed.benchmarks.common.kind import Kind, Place, Subject, status_refusal
from bench_deepspeed.benchmarks.common.provenance import lacking
from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.records import Result

from . import headline, metrics, view

FILE = "result.json"


def _subject(result: Result) -> Subject:
    s = result.scenario
    ranks = (s.tensor_parallel,)
    return Subject((s.model,), s.weights, (s.engine,), (s.precision,), s.device, result.started_at, ranks)


def samples(result: Result) -> list[dict[str, object]]:
    """Warm-ups and repetitions of each process, in their order."""
    return [
        sample_row(sample, (phase, group, index), phase == "timed" and not sample.is_void(result.scenario))
        for group, run in enumerate(result.runs, 1)
        for phase, series in (("warmup", run.warmups), ("timed", run.samples))
        for index, sample in enumerate(series, 1)
    ]


def _refusal(result: Result) -> str | None:
    valid, wanted = len(result.valid_samples), len(result.runs) * result.scenario.repetitions
    if result.scenario.engine == "fake":
        return "the fake engine measures nothing"
    if result.scenario.quick:
        return "it is a quick run: nothing was measured that its speed could be checked with"
    if reason := status_refusal(result):
        return reason
    if result.void_count or valid != wanted or not valid:
        return f"{valid} of {wanted} repetitions are valid, {result.void_count} void"
    fact = lacking(result.environment, result.scenario.device)
    return f"its environment lacks {fact!r}" if fact else None


def _recomputed(result: Result) -> dict[Place, object]:
    """The warnings, which a result gets when it is complete."""
    if result.status != "complete":
        return {}
    return {("warnings",): [dataclasses.asdict(finding) for finding in warnings.check(result)]}


def _codes(result: Result) -> list[str]:
    """Those of a run that did not reach its end are not stored."""
    if result.status == "complete":
        return [warning["code"] for warning in result.warnings]
    return [finding.code for finding in warnings.check(result)]


def llama_bench_records(result: Result) -> list[dict[str, object]]:
    """The timed generations, as one test of a prompt with its answer; none where none is valid."""
    s, valid = result.scenario, result.valid_samples
    prompt = metrics.prompt_tokens(result)
    if not valid or prompt is None:
        return []
    own = (s.model, s.weights, s.engine, s.precision, s.device, s.tensor_parallel)
    engine = llama_bench.Engine(*own, result.started_at, result.environment)
    seconds = [sample.seconds for sample in valid]
    return [llama_bench.record(engine, llama_bench.Test(prompt, s.max_tokens, 0, 1, seconds))]


def _row_name(result: Result) -> str:
    return f"run: {view.title(result)}, {metrics.prompt_tokens(result)} + {result.scenario.max_tokens} tokens"


KIND = Kind(
    name="run",
    file=FILE,
    title="Speed",
    what="a result",
    published="",
    fields=frozenset({"scenario", "runs"}),
    view=view.view,
    overview=view.overview,
    headline=metrics.speed_cell,
    page_headlines=headline.headlines,
    load=Result.load,
    subject=_subject,
    metrics=metrics.METRICS,
    rows=lambda result: [result],
    samples=samples,
    results=lambda result: [result],
    recomputed=_recomputed,
    warnings=_codes,
    refusal=_refusal,
    row_name=_row_name,
    llama_bench_records=llama_bench_records,
)
