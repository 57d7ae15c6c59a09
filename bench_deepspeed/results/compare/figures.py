"""The figures of a result as numbers, by the titles that rows have: what a ratio is made of."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from bench_deepspeed.benchmarks.run.rows import peak_bytes
from bench_deepspeed.measure import metrics
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.statistics import speed_interval
from bench_deepspeed.model import catalog


@dataclass(frozen=True)
class Figure:
    """A row's title, its numbers, and what they were taken from: numbers of another kind have no ratio."""

    title: str
    numbers: Callable[[Result], list[float | None]]
    taken_from: Callable[[Result], object] = lambda result: None

    def ratios(self, first: Result, other: Result) -> list[float | None]:
        """Each number ∕ the first result's; None where one was not measured, or was measured in another way."""
        if self.taken_from(first) != self.taken_from(other):
            return [None]
        pairs = zip(self.numbers(first), self.numbers(other), strict=False)
        return [b / a if a and b is not None else None for a, b in pairs]


def _speed(result: Result) -> list[float | None]:
    found = speed_interval(result)
    return [found and found.mean]


def _ttft(result: Result) -> list[float | None]:
    return [metrics.ttft_s(result.latency) if result.latency else None]


def _tpot(result: Result) -> list[float | None]:
    return [metrics.mean_tpot_s(result.latency, result.scenario.max_tokens) if result.latency else None]


def _itl(result: Result) -> list[float | None]:
    found = metrics.itl_s(result.latency) if result.latency else None
    return list(found.values()) if found else [None]


def _method(result: Result) -> str | None:
    return result.latency and result.latency.method


def _prefill(result: Result) -> list[float | None]:
    return [statistics.fmean(result.prefill.seconds) if result.prefill and result.prefill.seconds else None]


def _prefill_tokens(result: Result) -> int | None:
    return result.prefill and result.prefill.prompt_tokens


def _mfu(result: Result) -> list[float | None]:
    found = metrics.mfu(result, catalog.load(result.scenario.model))
    return [found and found.value]


def _mbu(result: Result) -> list[float | None]:
    found = metrics.mbu(result, catalog.load(result.scenario.model))
    return [found and found.value]


def _mbu_source(result: Result) -> str | None:
    found = metrics.mbu(result, catalog.load(result.scenario.model))
    return found and found.source


def _energy(result: Result) -> list[float | None]:
    return [metrics.joules_per_token(result.energy) if result.energy else None]


def _energy_source(result: Result) -> str | None:
    return result.energy and result.energy.source


SPEED = Figure("tokens/s", _speed)
FIGURES = (
    SPEED,
    Figure("TTFT", _ttft, _method),
    Figure("TPOT", _tpot, _method),
    Figure("ITL p50, p90, p99", _itl, _method),
    Figure("prefill", _prefill, _prefill_tokens),
    Figure("MFU of prefill", _mfu, _prefill_tokens),
    Figure("MBU of decode", _mbu, _mbu_source),
    Figure("peak memory", lambda result: [peak_bytes(result)]),
    Figure("weights", lambda result: [result.memory.weights_bytes]),
    Figure("workspace", lambda result: [result.memory.workspace_bytes]),
    Figure("energy", _energy, _energy_source),
)
"""Titles are those of `rows.figures` and `rows.details`; of energy the ratio is that of joules a token."""
