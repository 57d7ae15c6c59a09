"""The series that a run's passes leave, with their intervals, and what must be known with them."""

from __future__ import annotations

from collections.abc import Callable

from bench_deepspeed.core import text, units
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import metrics
from bench_deepspeed.measure.metric import Bounds
from bench_deepspeed.measure.records import EnergyPart, Result
from bench_deepspeed.measure.statistics import mean_interval

GENERATIONS = "the generations of one process"
PARTS = "the parts of a pass in one process"


Series = Callable[[Result], list[float]]


def method(result: Result) -> str | None:
    """How the times of tokens were separated: "streamed" or "difference"."""
    return result.latency.method if result.latency else None


def ttft_series(result: Result) -> list[float]:
    """TTFT of each generation, in seconds."""
    return result.latency.ttft_s if result.latency else []


def tpot_series(result: Result) -> list[float]:
    """TPOT of each generation, in seconds, where they have a mean."""
    measured, new_tokens = result.latency, result.scenario.max_tokens
    if measured is None or not metrics.mean_tpot_s(measured, new_tokens):
        return []
    return metrics.tpot_s(measured, new_tokens)


def prefill_series(result: Result) -> list[float]:
    """Prefill of each generation, in seconds."""
    return result.prefill.seconds if result.prefill else []


def bounds_of(series: Series) -> Callable[[Result], Bounds | None]:
    """The 95% interval of the mean of a series of one process: Student's, of values that are not below zero."""

    def bounds(result: Result) -> Bounds | None:
        interval = mean_interval([[value] for value in series(result)])
        if interval is None or interval.low is None or interval.high is None:
            return None
        return max(0.0, interval.low), interval.high

    return bounds


def latency_remark(series: Series, note: Callable[[Result], str | None]) -> Callable[[Result], str | None]:
    """The method, the number of generations, and what must be known."""
    return lambda r: "; ".join(filter(None, [f"{method(r)}, {counted(series(r))}", note(r)]))


def counted(seconds: list[float]) -> str:
    """What an interval is over: it does not cover another process."""
    return f"n {len(seconds)} in one process"


def late(result: Result) -> str | None:
    """TTFT of a short prompt can be above the prefill of a long one."""
    if result.latency is None or not metrics.first_token_came_late(result.latency):
        return None
    return "handed over with the second token, about a step late"


def apart(result: Result) -> str | None:
    """1 ∕ TPOT is not tokens/s where both are of generations that took another time."""
    times = metrics.generations_apart(result)
    return None if times is None else f"these generations took {times:.2f} × as long as the timed ones"


def _parts(result: Result) -> list[EnergyPart]:
    return result.energy.parts if result.energy else []


def joules_series(result: Result) -> list[float]:
    """Joules a token of each part of the pass."""
    return [part.joules / part.new_tokens for part in _parts(result)]


def power_series(result: Result) -> list[float]:
    """Mean watts of each part of the pass."""
    return [part.joules / part.seconds for part in _parts(result)]


def energy_cell(value: Callable[[Result], float | None], series: Series, unit: str) -> Callable[[Result], str]:
    """With the digits that its interval supports, or two where it has none."""

    def cell(result: Result) -> str:
        number, bounds = value(result), bounds_of(series)(result)
        if number is None or result.energy is None:
            return NOT_MEASURED
        if bounds is None:
            generations = result.energy.new_tokens / result.scenario.max_tokens
            n = text.counted(round(generations), "generation")
            return f"{units.to_digits(number, 2)} {unit} ({result.energy.source}; {n}, no interval)"
        half_width = (bounds[1] - bounds[0]) / 2
        shown, low, high = (units.to_error(x, half_width) for x in (number, *bounds))
        return f"{shown} {unit} [{low}, {high}] ({result.energy.source}; n {len(series(result))})"

    return cell


def joules(result: Result) -> float | None:
    """Joules a token of the whole pass."""
    return result.energy and metrics.joules_per_token(result.energy)


def watts(result: Result) -> float | None:
    """Mean watts of the whole pass."""
    return result.energy and metrics.mean_power_w(result.energy)


def gaps(result: Result) -> str | None:
    """The number of gaps behind a percentile: with fewer than 100, the 99th is hardly more than the largest."""
    return f"of {sum(map(len, result.latency.itl_s))} gaps" if result.latency else None
