"""A sweep as pictures: throughput over the batch size under its roofline, prefill over the prompt's length."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench_deepspeed.benchmarks.run.profile_view import COLOURS, INK
from bench_deepspeed.model import catalog

from . import derived
from .records import SweepResult, SweepScenario
from .view import KEYS, constants, varying

MARKERS = "osD^vP*"
UNITS = {"batch_size": "batch {}", "prompt_tokens": "prompt {}", "max_tokens": "{} new tokens"}
Figure = Callable[[SweepScenario], float | None]


def drawings(sweep: SweepResult) -> dict[str, Callable]:
    """Name → what draws it on axes. Only where there are two points or more to draw a line through."""
    found = {
        "throughput": (draw_throughput, lines(sweep, "batch_size", decode_tokens_per_s)),
        "prefill": (draw_prefill, lines(sweep, "prompt_tokens", prefill_s)),
    }
    return {name: draw for name, (draw, drawn) in found.items() if any(len(points) > 1 for points in drawn.values())}


def decode_tokens_per_s(scenario: SweepScenario) -> float | None:
    rate = derived.decode_rate(scenario)
    return rate and rate.tokens_per_s


def prefill_s(scenario: SweepScenario) -> float | None:
    return derived.mean_s(scenario.prefill)


def lines(sweep: SweepResult, along: str, figure: Figure) -> dict[tuple, list[tuple[SweepScenario, float]]]:
    """The points of each line: scenarios that differ only in the field `along`, in its order."""
    found: dict[tuple, list[tuple[SweepScenario, float]]] = {}
    others = [name for name in KEYS if name != along]
    complete = [scenario for scenario in sweep.scenarios if scenario.status == "complete"]
    for scenario in sorted(complete, key=lambda one: getattr(one, along)):
        value = figure(scenario)
        if value is not None:
            found.setdefault(tuple(getattr(scenario, name) for name in others), []).append((scenario, value))
    return found


def draw_throughput(axis, sweep: SweepResult) -> None:
    """Decode tokens/s over the batch size, and above it what memory (dashed) and products (dotted) allow."""
    spec = catalog.load(sweep.settings.model)
    drawn = lines(sweep, "batch_size", decode_tokens_per_s)
    _draw(axis, sweep, drawn, "batch_size")
    bounds: dict[tuple, tuple[str, set[tuple[float, float]]]] = {}
    for key, look in _looks(drawn).items():
        for scenario, _ in drawn[key]:
            if limits := derived.limits_of(sweep, scenario):
                # Of engines that differ in nothing else, limit and colour are the same.
                _, bound = bounds.setdefault(key[1:], (look["color"], set()))
                bound.add((scenario.batch_size, derived.memory_limit(spec, scenario, limits)))
    for colour, bound in bounds.values():
        axis.plot(*zip(*sorted(bound), strict=True), "--", color=colour, linewidth=1.5)
    for precision in sorted({precision for precision, *_ in bounds}):
        axis.axhline(derived.compute_limit(spec, sweep.limits[precision]), color=INK, linestyle=":", linewidth=1.5)
    if bounds:
        axis.plot([], [], "--", color=INK, label="limit of the memory bandwidth, measured")
        axis.plot([], [], ":", color=INK, label="limit of the matrix products, measured")
    axis.set_xlabel("batch size", color=INK)
    axis.set_ylabel("decode tokens/s, all sequences", color=INK)


def draw_prefill(axis, sweep: SweepResult) -> None:
    """Prefill time over the prompt's length."""
    _draw(axis, sweep, lines(sweep, "prompt_tokens", prefill_s), "prompt_tokens")
    axis.set_xlabel("prompt tokens of each sequence", color=INK)
    axis.set_ylabel("prefill", color=INK)
    axis.yaxis.set_major_formatter(lambda seconds, _: f"{1e3 * seconds:g} ms")


def _draw(axis, sweep: SweepResult, drawn: dict, along: str) -> None:
    """The lines, each with its label, on axes of powers."""
    from matplotlib.ticker import LogLocator

    for key, look in _looks(drawn).items():
        places = [(getattr(scenario, along), value) for scenario, value in drawn[key]]
        axis.plot(*zip(*places, strict=True), label=label(sweep, drawn[key][0][0], along), **look)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    ticks = sorted({getattr(scenario, along) for points in drawn.values() for scenario, _ in points})
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:,g}")


def _looks(drawn: dict) -> dict[tuple, dict]:
    """How each line looks: a marker an engine, a colour for all else; another marker where colours come round again."""
    engines = list(dict.fromkeys(engine for engine, *_ in drawn))
    others = list(dict.fromkeys(tuple(other) for _, *other in drawn))
    colours = list(COLOURS.values())
    return {
        key: {
            "color": colours[others.index(key[1:]) % len(colours)],
            "marker": MARKERS[(engines.index(key[0]) + others.index(key[1:]) // len(colours)) % len(MARKERS)],
            "linewidth": 2.5,
            "markersize": 7,
        }
        for key in drawn
    }


def label(sweep: SweepResult, scenario: SweepScenario, along: str) -> str:
    names = [name for name in varying(sweep) if name != along]
    return ", ".join(UNITS.get(name, "{}").format(getattr(scenario, name)) for name in names) or "measured"


def picture(sweep: SweepResult, draw: Callable, title: str):
    """A matplotlib Figure of one drawing. Transparent, for light and dark pages."""
    from matplotlib.figure import Figure as Picture

    made = Picture(figsize=(10, 6), layout="constrained")
    made.get_layout_engine().set(w_pad=0.15, h_pad=0.1)
    axis = made.subplots()
    draw(axis, sweep)
    axis.set_title(f"{title}\n", loc="left", fontsize=14, fontweight="bold", color=INK)
    axis.annotate(constants(sweep), (0, 1), (0, 7), "axes fraction", "offset points", color=INK, fontsize=9)
    axis.tick_params(colors=INK)
    axis.grid(color=INK, alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(INK)
    made.legend(loc="outside lower left", ncols=3, frameon=False, labelcolor=INK, fontsize=9)
    return made


TITLES = {"throughput": "Decode throughput", "prefill": "Prefill time"}


def pictures(sweep: SweepResult) -> dict[str, Callable[[], object]]:
    """Name → what makes the matplotlib Figure, of each drawing of a sweep."""
    return {name: partial(picture, sweep, draw, TITLES[name]) for name, draw in drawings(sweep).items()}
