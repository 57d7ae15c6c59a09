"""The charts of a sweep: throughput over the batch size under its roofline, prefill time over the prompt's length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench_deepspeed.model import catalog
from bench_deepspeed.report.chart import Axis, Lines, Point, Series

from . import derived
from .labels import constants, facets_of, varying
from .metrics import COMBINED
from .records import SweepResult, SweepScenario

UNITS = {
    "tensor_parallel": "{} ranks",
    "batch_size": "batch {}",
    "prompt_tokens": "prompt {}",
    "max_tokens": "{} new tokens",
}
Curves = dict[tuple, list[SweepScenario]]


def throughput(sweep: SweepResult) -> Lines | None:
    """Decode tokens/s over the batch size, and what memory (dashed) and matrix products (dotted) allow.

    None where there are no two points to draw a line through.
    """
    curves = _curves(sweep, "batch_size", lambda scenario: derived.decode_rate(scenario) is not None)
    if not any(len(scenarios) > 1 for scenarios in curves.values()):
        return None
    series = [_series(sweep, scenarios, "batch_size", _colour(key), _rate_point) for key, scenarios in curves.items()]
    x, y = Axis("batch size", log=True), Axis("decode tokens/s, all sequences", log=True)
    return Lines(
        "Decode throughput",
        x,
        y,
        (*series, *_limits(sweep, curves)),
        f"Decode throughput over the batch size of {constants(sweep)}; the table has its values",
        subtitle=constants(sweep),
        ordered=_ordered(sweep, "batch_size"),
    )


def prefill(sweep: SweepResult) -> Lines | None:
    """Prefill time over the prompt's length; None where there are no two points to draw a line through."""
    curves = _curves(sweep, "prompt_tokens", lambda scenario: derived.prefill_s(scenario) is not None)
    if not any(len(scenarios) > 1 for scenarios in curves.values()):
        return None
    series = [
        _series(sweep, scenarios, "prompt_tokens", _colour(key), _prefill_point) for key, scenarios in curves.items()
    ]
    return Lines(
        "Prefill time",
        Axis("prompt tokens of each sequence", log=True),
        Axis("prefill", "ms", log=True),
        tuple(series),
        f"Prefill time over the prompt's length of {constants(sweep)}; the table has its values",
        subtitle=constants(sweep),
        ordered=_ordered(sweep, "prompt_tokens"),
    )


def _curves(sweep: SweepResult, along: str, drawable: Callable[[SweepScenario], bool]) -> Curves:
    """The scenarios of each line: those that differ only in the field `along`, in its order."""
    curves: Curves = {}
    others = [metric.name for metric in COMBINED if metric.name != along]
    complete = [scenario for scenario in sweep.scenarios if scenario.status == "complete" and drawable(scenario)]
    for scenario in sorted(complete, key=lambda s: getattr(s, along)):
        curves.setdefault(tuple(getattr(scenario, name) for name in others), []).append(scenario)
    return dict(sorted(curves.items(), key=lambda curve: [v for v in curve[0] if isinstance(v, int)]))


def _ordered(sweep: SweepResult, along: str) -> bool:
    """Whether the lines differ in one quantity alone, so that they have an order."""
    names = [name for name in varying(sweep) if name != along]
    return len(names) == 1 and names[0] in UNITS


def _colour(key: tuple) -> str:
    """Every line has a colour of its own, which its limits share."""
    return " ".join(map(str, key))


def _series(
    sweep: SweepResult,
    scenarios: list[SweepScenario],
    along: str,
    colour: str,
    point: Callable[[SweepScenario, float], Point],
) -> Series:
    names = [name for name in varying(sweep) if name != along]
    label = ", ".join(UNITS.get(name, "{}").format(getattr(scenarios[0], name)) for name in names) or "measured"
    points = tuple(point(scenario, getattr(scenario, along)) for scenario in scenarios)
    return Series(label, points, (facets_of(sweep, scenarios[0]),), colour=colour)


def _rate_point(scenario: SweepScenario, x: float) -> Point:
    rate = derived.decode_rate(scenario)
    assert rate is not None  # only what has one is drawn
    hover = f"{scenario.title()}: {rate.value:,.1f} tokens/s, n {rate.n} {rate.units}"
    return Point(x, rate.value, rate.bounds, hover=hover)


def _prefill_point(scenario: SweepScenario, x: float) -> Point:
    prefill = derived.prefill_s(scenario)
    assert prefill is not None
    milliseconds, bounds = 1e3 * prefill.value, prefill.bounds
    interval = None if bounds is None else (1e3 * bounds[0], 1e3 * bounds[1])
    return Point(x, milliseconds, interval, hover=f"{scenario.title()}: {milliseconds:,.2f} ms")


def _limits(sweep: SweepResult, curves: Curves) -> list[Series]:
    """The two bounds of the roofline, each drawn once for all lines that share it.

    Engines that differ in nothing else share both. One that several settings share is in no colour of theirs.
    """
    spec, device = catalog.load(sweep.settings.model), sweep.settings.device
    shared: dict[tuple, list[tuple[str, SweepScenario]]] = {}
    for key, scenarios in curves.items():
        for scenario in scenarios:
            if limits := derived.limits_of(sweep, scenario):
                member, packing = (_colour(key), scenario), scenario.cell(device).packing
                shared.setdefault((MEMORY, *key[1:], packing), []).append(member)
                shared.setdefault((PRODUCTS, derived.compute_limit(spec, limits)), []).append(member)
    return [_limit(sweep, bound, members) for bound, members in shared.items()]


MEMORY, PRODUCTS = "limit of the memory bandwidth, measured", "limit of the matrix products, measured"


def _limit(sweep: SweepResult, bound: tuple, members: Sequence[tuple[str, SweepScenario]]) -> Series:
    """The line of a bound over the batches of the scenarios that share it."""
    name, colours = bound[0], dict.fromkeys(colour for colour, _ in members)
    spec, device = catalog.load(sweep.settings.model), sweep.settings.device
    rates = {}
    for _, scenario in members:
        limits = derived.limits_of(sweep, scenario)
        assert limits is not None  # only such scenarios share a bound
        rates[scenario.batch_size] = (
            bound[1] if name == PRODUCTS else derived.memory_limit(spec, scenario, device, limits)
        )
    line = tuple(Point(x, rate, hover=f"{name}: {rate:,.0f} tokens/s") for x, rate in sorted(rates.items()))
    return Series(
        name,
        line,
        tuple(sorted({facets_of(sweep, scenario) for _, scenario in members})),
        "dotted" if name == PRODUCTS else "dashed",
        marker=False,
        colour=next(iter(colours)) if name == MEMORY or len(colours) == 1 else None,
    )


def drawn(sweep: SweepResult) -> dict[str, Lines]:
    """Name of its file → chart, of those that this sweep has points for."""
    by_name = {"throughput": throughput(sweep), "prefill": prefill(sweep)}
    return {name: chart for name, chart in by_name.items() if chart is not None}
