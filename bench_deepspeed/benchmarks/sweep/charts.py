"""The charts of a sweep: throughput over the batch size under its roofline, prefill time over the prompt's length."""

from __future__ import annotations

from collections.abc import Callable

from bench_deepspeed.model import catalog
from bench_deepspeed.report.chart import Axis, Lines, Point, Series

from . import derived
from .labels import constants, facets_of, varying
from .metrics import COMBINED
from .records import SweepResult, SweepScenario

UNITS = {"batch_size": "batch {}", "prompt_tokens": "prompt {}", "max_tokens": "{} new tokens"}
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
    )


def _curves(sweep: SweepResult, along: str, drawable: Callable[[SweepScenario], bool]) -> Curves:
    """The scenarios of each line: those that differ only in the field `along`, in its order."""
    curves: Curves = {}
    others = [metric.name for metric in COMBINED if metric.name != along]
    complete = [scenario for scenario in sweep.scenarios if scenario.status == "complete" and drawable(scenario)]
    for scenario in sorted(complete, key=lambda s: getattr(s, along)):
        curves.setdefault(tuple(getattr(scenario, name) for name in others), []).append(scenario)
    return curves


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
    """The two bounds of the roofline; of engines that differ in nothing else, they are the same."""
    spec = catalog.load(sweep.settings.model)
    device = sweep.settings.device
    by_setting: dict[tuple, list[SweepScenario]] = {}
    colours: dict[tuple, str] = {}
    for key, scenarios in curves.items():
        limited = [scenario for scenario in scenarios if derived.limits_of(sweep, scenario)]
        bounded = (key[1:], scenarios[0].cell(device).packing)
        by_setting.setdefault(bounded, []).extend(limited)
        colours.setdefault(bounded, _colour(key))
    series = []
    for others, scenarios in by_setting.items():
        limits = derived.limits_of(sweep, scenarios[0]) if scenarios else None
        if limits is None:
            continue
        memory = sorted({(s.batch_size, derived.memory_limit(spec, s, device, limits)) for s in scenarios})
        products = [(batch, derived.compute_limit(spec, limits)) for batch, _ in memory]
        keys = tuple(sorted({facets_of(sweep, s) for s in scenarios}))
        for name, points, stroke in (
            ("limit of the memory bandwidth, measured", memory, "dashed"),
            ("limit of the matrix products, measured", products, "dotted"),
        ):
            line = tuple(Point(x, y, hover=f"{name}: {y:,.0f} tokens/s") for x, y in points)
            series.append(Series(name, line, keys, stroke, marker=False, colour=colours[others]))
    return series


def drawn(sweep: SweepResult) -> dict[str, Lines]:
    """Name of its file → chart, of those that this sweep has points for."""
    by_name = {"throughput": throughput(sweep), "prefill": prefill(sweep)}
    return {name: chart for name, chart in by_name.items() if chart is not None}
