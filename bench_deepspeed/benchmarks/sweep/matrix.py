"""The matrix of a sweep of several precisions: a row an engine, a column a precision, a cell what came of both."""

from __future__ import annotations

import itertools

from bench_deepspeed.core import capabilities, units
from bench_deepspeed.report.blocks import Block, Table, Text

from .metrics import ScenarioRow, peak_bytes, weights_bytes
from .records import CellQuality, SweepResult, SweepScenario

LEGEND = (
    "cells: decode tokens/s of all sequences [95% interval], or tokens/s with prefill where decode is not separable; "
    "memory: weights as they are stored, and the peak of the device's memory, on a CPU of the process; quality: the "
    "mean KL divergence from float32 [that of its baseline, the noise floor], and the verdict by the limits of "
    "docs/method/quality.md, which are wider for packed weights, whose baseline is another library's; else the number "
    "of the reason why there is none"
)


def tables(sweep: SweepResult) -> list[Block]:
    """One table for each batch size, prompt length and answer length; none for a sweep of one precision."""
    settings = sweep.settings
    if len(settings.precisions) < 2:
        return []
    lists = (settings.tensor_parallel, settings.batch_sizes, settings.prompt_tokens, settings.max_tokens)
    by_key = {(*s.key, s.batch_size, s.prompt_tokens, s.max_tokens): s for s in sweep.scenarios}
    blocks: list[Block] = []
    reasons: dict[str, int] = {}
    for size in itertools.product(*lists):
        rows = [
            {
                "engine": engine,
                **{name: _cell(sweep, by_key[(engine, name, *size)], reasons) for name in settings.precisions},
            }
            for engine in settings.engines
        ]
        ranks, batch, prompt, new = size
        title = f"Precisions{f', {ranks} ranks' if ranks > 1 else ''}, batch {batch}: {prompt} + {new} tokens"
        blocks += [Text(title, strong=True), Table(rows, "Precisions")]
    return [*blocks, *(Text(f"({number}) {reason}") for reason, number in reasons.items()), Text(LEGEND)]


def _cell(sweep: SweepResult, scenario: SweepScenario, reasons: dict[str, int]) -> str:
    """A scenario's figures, or the number of the reason why there are none, which is added to `reasons`."""
    if scenario.status != "complete":
        known = capabilities.cell(scenario.engine, sweep.settings.device, scenario.precision)
        reason = scenario.reason if known.path or not known.reason else known.reason
        return f"{scenario.status} ({reasons.setdefault(reason, len(reasons) + 1)})" if reason else scenario.status
    row = ScenarioRow(sweep, scenario)
    return "; ".join(filter(None, (_speed(row), _memory(row), _quality(row.quality))))


def _speed(row: ScenarioRow) -> str:
    estimate = row.rate or row.overall
    if estimate is None:
        return "speed not measured"
    bounds = f" [{', '.join(f'{bound:,.1f}' for bound in estimate.bounds)}]" if estimate.bounds else ""
    return f"{estimate.value:,.1f}{bounds}{'' if row.rate else ' with prefill'}"


def _memory(row: ScenarioRow) -> str:
    parts = {"weights": weights_bytes(row), "peak": peak_bytes(row)}
    return ", ".join(f"{what} {units.gigabytes(size)}" for what, size in parts.items() if size is not None)


def _quality(found: CellQuality | None) -> str:
    if found is None:
        return "answers not checked"
    floor = "" if found.floor_mean_kl is None else f" [{found.floor_mean_kl:.2g}]"
    verdict = found.words.split(":")[0]  # the figures behind it are in the check's own file
    return f"KL {found.mean_kl:.2g}{floor}, {verdict}"
