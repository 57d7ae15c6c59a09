"""Results as other tools write them, checked by what is published of their formats."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Annotated, Literal

import numpy
import pytest
from builders import ab, load, measured, result, sweep
from builders import level_of as level
from builders import request_record as record
from prometheus_client.openmetrics import parser as openmetrics
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter
from support import MEASURED_LOAD

from bench_deepspeed.benchmarks.load.kind import KIND as LOAD
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.results import export, foreign
from bench_deepspeed.results import files as evidence

HOSTILE = 'back\\slash, "quoted"\nsecond line'


def written(form: str, *paths: Path) -> str:
    output = paths[0].parent / f"out.{form}"
    export.run(SimpleNamespace(files=list(paths), format=form, output=output, samples=False, gpu_hour=None))
    return output.read_text(encoding="utf-8")


def saved(folder: Path, **contents) -> list[Path]:
    for name, content in contents.items():
        content.save(folder / f"{name}.json")
    return [folder / f"{name}.json" for name in contents]


class Values(BaseModel):
    """A metric of Bencher: https://bencher.dev/docs/reference/bencher-metric-format."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: FiniteFloat
    lower_value: FiniteFloat | None = None
    upper_value: FiniteFloat | None = None


Name = Annotated[str, Field(min_length=1, max_length=1024)]
Measure = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]
BENCHER = TypeAdapter(dict[Name, dict[Measure, Values]])


def test_bencher_gets_each_metric_with_its_interval(tmp_path):
    paths = saved(tmp_path, run=measured(result(processes=2)), load=load(), sweep=sweep(), ab=ab())
    found = BENCHER.validate_json(written("bencher", *paths))
    kinds = {name.partition(":")[0] for name in found}
    assert kinds == {"run", "load", "sweep"}
    (item,) = evidence.read([paths[0]])
    (name,) = (name for name in found if name.startswith("run: "))
    speed = found[name]["tokens_per_s_mean"]
    shown = {metric.name: metric for metric in item.kind.metrics}["tokens_per_s_mean"]
    assert speed.value == shown.value(item.content)
    assert (speed.lower_value, speed.upper_value) == shown.interval(item.content)
    levels = [name for name in found if name.startswith("load: ")]
    assert [name.rpartition(", ")[2] for name in levels] == ["1 client", "2 clients"]
    assert all(metric.better for kind in {item.kind} for metric in kind.metrics if metric.name in found[name])


def test_bencher_gets_published_results():
    every = [item.path for item in evidence.read(evidence.published()) if item.kind.row_name]
    for path in every:
        options = SimpleNamespace(format="bencher", output=None, samples=False, gpu_hour=None)
        assert BENCHER.validate_json(foreign.WRITERS["bencher"](evidence.read([path]), options))


def test_openmetrics_has_each_value_and_the_ends_of_its_interval(tmp_path):
    paths = saved(tmp_path, run=measured(result(processes=2)), load=load(), sweep=sweep())
    families = list(openmetrics.text_string_to_metric_families(written("openmetrics", *paths)))
    benched = BENCHER.validate_json(written("bencher", *paths))
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation for family in families)
    found = {
        (sample.labels["result"], family.name.removeprefix(foreign.PREFIX), sample.labels["bound"]): sample.value
        for family in families
        for sample in family.samples
    }
    expected = {
        (name, metric, bound): getattr(values, field)
        for name, measures in benched.items()
        for metric, values in measures.items()
        for field, bound in foreign.BOUNDS.items()
        if getattr(values, field) is not None
    }
    assert found == expected


def test_openmetrics_keeps_what_must_be_escaped():
    text = f'# TYPE a gauge\na{{result="{foreign._escaped(HOSTILE)}"}} 1.0\n# EOF\n'
    ((sample,),) = (family.samples for family in openmetrics.text_string_to_metric_families(text))
    assert sample.labels["result"] == HOSTILE


def test_two_results_of_one_name_are_refused(tmp_path):
    paths = saved(tmp_path, one=load(), other=load())
    with pytest.raises(UsageError, match=r"other\.json has another result of 'load: Llama-2-7B-chat, serve \(mii\)"):
        written("bencher", *paths)


@pytest.mark.parametrize("form", ["vllm", "llama-bench", "bencher", "openmetrics"])
def test_a_kind_that_a_format_cannot_say_is_refused(tmp_path, form):
    with pytest.raises(
        UsageError, match=rf"--format {form}: .*ab\.json is a comparison \(ab\), which that format cannot say"
    ):
        written(form, *saved(tmp_path, ab=ab()))


class Vllm(BaseModel):
    """The fields of vllm/benchmarks/serve.py at vllm-project/vllm 009e6d4 that its plots and InferenceX's scripts read.

    utils/process_result.py of SemiAnalysisAI/InferenceX makes a number of each field that ends in `ms`, and divides by
    those of TPOT.
    """

    model_config = ConfigDict(strict=True, extra="allow")

    date: Annotated[str, Field(pattern=r"^\d{8}-\d{6}$")]
    backend: str
    label: str
    model_id: str
    num_prompts: int
    request_rate: FiniteFloat | Literal["inf"]
    burstiness: FiniteFloat
    max_concurrency: int | None
    duration: FiniteFloat
    completed: int
    failed: int
    total_input_tokens: int
    total_output_tokens: int
    request_throughput: FiniteFloat
    request_goodput: FiniteFloat | None
    output_throughput: FiniteFloat
    total_token_throughput: FiniteFloat
    max_concurrent_requests: int
    input_lens: list[int]
    output_lens: list[int]
    ttfts: list[FiniteFloat]
    itls: list[list[FiniteFloat]] | None = None
    """None of files from before gaps were kept."""
    latencies: list[FiniteFloat]
    start_times: list[FiniteFloat]
    queue_times: list[FiniteFloat]
    errors: list[str]


def vllm(path: Path) -> list[Vllm]:
    lines = [Vllm.model_validate_json(line) for line in written("vllm", path).splitlines()]
    for line in lines:
        lists = line.input_lens, line.output_lens, line.ttfts, line.itls, line.queue_times, line.errors
        assert {len(of_requests) for of_requests in lists} == {line.num_prompts}
        numbers = {name: value for name, value in line.model_extra.items() if name.endswith("_ms")}
        assert all(isinstance(value, float) and numpy.isfinite(value) for value in numbers.values())
    return lines


def of_levels(*levels) -> LoadResult:
    return dataclasses.replace(load(), levels=list(levels), stopped=None)


def test_vllm_gets_a_line_a_level_with_its_own_definitions(tmp_path):
    firsts = numpy.random.default_rng(0).uniform(0.2, 0.3, 400)
    sent_late = [
        record(2.0 + n / 40, float(first), 0.01, sent_s=2.05 + n / 40, chunks="0 10000 10000 10000 10000")
        for n, first in enumerate(firsts)
    ]
    broken = record(5.0, error="reset", sent_s=5.01, first_s=1.0, chunks="")
    at_rate = level([*sent_late, broken], clients=None, rate=40.0, tokens_in_window=1990)
    (path,) = saved(tmp_path, load=of_levels(at_rate, level(sent_late[:50], clients=3, tokens_in_window=250)))
    first, second = vllm(path)
    assert (first.request_rate, first.max_concurrency) == (40.0, None)
    assert (second.request_rate, second.max_concurrency) == ("inf", 3)
    assert (first.num_prompts, first.failed, first.total_output_tokens) == (401, 1, 1990)
    assert first.output_throughput * first.duration == pytest.approx(first.total_output_tokens)
    assert first.request_throughput * first.duration == pytest.approx(first.completed)
    assert first.errors.count("reset") == 1
    good = [n for n, error in enumerate(first.errors) if not error]
    assert {round(first.queue_times[n], 6) for n in good} == {0.05}
    ttfts = [1e3 * first.ttfts[n] for n in good]
    extra = first.model_extra
    assert extra["mean_ttft_ms"] == pytest.approx(fmean(ttfts))  # from when it was sent, without the failed one
    assert extra["std_ttft_ms"] == pytest.approx(numpy.std(ttfts))
    assert extra["median_ttft_ms"] == pytest.approx(numpy.median(ttfts))
    assert extra["p95_ttft_ms"] == pytest.approx(numpy.percentile(ttfts, 95))
    tpots = [(first.latencies[n] - first.ttfts[n]) / (first.output_lens[n] - 1) for n in good]
    assert extra["mean_tpot_ms"] == pytest.approx(1e3 * fmean(tpots))
    assert extra["mean_itl_ms"] == pytest.approx(10.0)
    assert "p99_ttft_ms" not in second.model_extra  # 50 requests have none


def test_vllm_gets_published_load_tests():
    (item,) = evidence.read([MEASURED_LOAD])
    options = SimpleNamespace(format="vllm", output=None, samples=False, gpu_hour=None)
    lines = [Vllm.model_validate_json(line) for line in foreign.WRITERS["vllm"]([item], options).splitlines()]
    rows = [row for row in LOAD.rows(item.content) if row.measured]
    assert [line.label for line in lines] == [row.level.name for row in rows]
    assert [line.output_throughput for line in lines] == [row.statistics.tokens_per_s for row in rows]
    assert json.loads(json.dumps([line.model_id for line in lines])) == ["SmolLM2-135M-Instruct"] * len(lines)


class LlamaBench(BaseModel):
    """The fields and types of scripts/compare-llama-bench.py at ggml-org/llama.cpp 05f3b20.

    It drops others, and refuses a line that lacks one by which it distinguishes tests.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    build_commit: Annotated[str, Field(min_length=1, max_length=12)]
    cpu_info: str
    gpu_info: str
    backends: str
    model_filename: str
    model_type: str
    cpu_mask: str
    type_k: Literal["f32", "f16", "bf16"]
    type_v: Literal["f32", "f16", "bf16"]
    split_mode: str
    tensor_split: str
    tensor_buft_overrides: str
    test_time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")]
    build_number: int
    model_size: int
    model_n_params: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    cpu_strict: int
    poll: int
    n_gpu_layers: int
    main_gpu: int
    no_kv_offload: int
    flash_attn: int
    use_mmap: int
    embeddings: int
    no_op_offload: int
    n_prompt: int
    n_gen: int
    n_depth: int
    avg_ns: int
    stddev_ns: int
    avg_ts: FiniteFloat
    stddev_ts: FiniteFloat
    samples_ns: list[int]
    samples_ts: list[FiniteFloat]


def llama_bench(*paths: Path) -> list[LlamaBench]:
    options = SimpleNamespace(format="llama-bench", output=None, samples=False, gpu_hour=None)
    lines = foreign.WRITERS["llama-bench"](evidence.read(list(paths)), options).splitlines()
    return [LlamaBench.model_validate_json(line) for line in lines]


def test_llama_bench_gets_prefill_and_decoding_apart(tmp_path):
    swept = sweep()
    (path,) = saved(tmp_path, sweep=swept)
    complete = next(one for one in swept.scenarios if one.status == "complete")
    prefill, decode, *_ = llama_bench(path)
    assert (prefill.n_prompt, prefill.n_gen, prefill.n_depth) == (complete.prompt_tokens, 0, 0)
    assert (decode.n_prompt, decode.n_gen, decode.n_depth) == (0, complete.max_tokens - 1, complete.prompt_tokens)
    assert prefill.n_batch == decode.n_batch == complete.batch_size
    firsts, wholes = ([sample.seconds for sample in samples] for samples in (complete.prefill, complete.total))
    assert prefill.avg_ts == pytest.approx(
        fmean(complete.batch_size * complete.prompt_tokens / seconds for seconds in firsts)
    )
    assert decode.samples_ts == pytest.approx(
        [
            complete.batch_size * (complete.max_tokens - 1) / (whole - first)
            for whole, first in zip(wholes, firsts, strict=True)
        ]
    )


def test_llama_bench_gets_a_run_as_one_test_of_prompt_and_answer(tmp_path):
    made = measured(result(processes=2))
    (line,) = llama_bench(*saved(tmp_path, run=made))
    seconds = [sample.seconds for sample in made.valid_samples]
    tokens = made.valid_samples[0].prompt_tokens + made.scenario.max_tokens
    assert line.n_prompt + line.n_gen == tokens
    assert line.avg_ts == pytest.approx(fmean(tokens / one for one in seconds))
    assert line.stddev_ts == pytest.approx(numpy.std([tokens / one for one in seconds], ddof=1))
    assert line.avg_ns == pytest.approx(1e9 * fmean(seconds), abs=1)


def test_llama_bench_gets_published_results():
    every = [item.path for item in evidence.read(evidence.published()) if item.kind.llama_bench_records]
    lines = [line for path in every for line in llama_bench(path)]
    assert {line.model_type for line in lines} >= {"Llama-2-7B-chat float16, random weights"}
    assert {line.n_gen == 0 for line in lines} == {True, False}
    assert all(line.avg_ts > 0 for line in lines)
