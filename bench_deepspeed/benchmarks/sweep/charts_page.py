from __future__ import annotations

from markupsafe import escape

from bench_deepspeed.model import catalog
from bench_deepspeed.report.charts_plotly import SERIES, SYMBOLS, _finished

from . import charts, derived
from .records import SweepResult, SweepScenario


def throughput(sweep: SweepResult, keys: dict[tuple[str, str], int]) -> dict | None:
    """Decode tokens/s over the batch size, and what memory (dashed) and products (dotted) allow.

    `keys`: (engine, precision) → key. None where there are no two points to draw a line through.
    """
    drawn = charts.lines(sweep, "batch_size", charts.decode_tokens_per_s)
    figure = _curves(sweep, drawn, "batch_size", keys)
    if figure is None:
        return None
    _add_limits(figure, sweep, drawn, keys)
    figure.update_xaxes(title_text="batch size")
    figure.update_yaxes(title_text="decode tokens/s, all sequences")
    return _finished(figure)


def prefill(sweep: SweepResult, keys: dict[tuple[str, str], int]) -> dict | None:
    """Prefill time over the prompt's length; None where there are no two points to draw a line through."""
    drawn = charts.lines(sweep, "prompt_tokens", charts.prefill_s)
    figure = _curves(sweep, drawn, "prompt_tokens", keys)
    if figure is None:
        return None
    figure.update_xaxes(title_text="prompt tokens of each sequence")
    figure.update_yaxes(title_text="prefill, s")
    return _finished(figure)


def _curves(sweep: SweepResult, drawn: dict, along: str, keys: dict[tuple[str, str], int]):
    """The lines, on axes of powers, each with its label."""
    from plotly import graph_objects as go

    if not any(len(points) > 1 for points in drawn.values()):
        return None
    figure = go.Figure()
    for number, points in enumerate(drawn.values()):
        first = points[0][0]
        figure.add_trace(
            go.Scatter(
                x=[getattr(scenario, along) for scenario, _ in points],
                y=[value for _, value in points],
                error_y={"array": [_error(scenario, along) for scenario, _ in points], "thickness": 1.5},
                mode="lines+markers",
                name=charts.label(sweep, first, along),
                line={"color": SERIES[number % len(SERIES)], "width": 2.5},
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
                customdata=[escape(scenario.title()) for scenario, _ in points],
                hovertemplate="%{customdata}<br><b>%{y:.4~g}</b><extra></extra>",
                meta=[keys[first.engine, first.precision]],
            )
        )
    ticks = sorted({getattr(scenario, along) for points in drawn.values() for scenario, _ in points})
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    figure.update_yaxes(type="log", dtick="D2", tickformat=",~g")
    return figure


def _error(scenario: SweepScenario, along: str) -> float | None:
    """The standard error of the decode rate; of the prefill none is shown."""
    rate = derived.decode_rate(scenario) if along == "batch_size" else None
    return rate and rate.standard_error


def _add_limits(figure, sweep: SweepResult, drawn: dict, keys: dict[tuple[str, str], int]) -> None:
    """The two bounds of the roofline; of engines that differ in nothing else, they are the same."""
    spec = catalog.load(sweep.settings.model)
    engines: dict[tuple, list[SweepScenario]] = {}
    for (_, *others), points in drawn.items():
        limited = [scenario for scenario, _ in points if derived.limits_of(sweep, scenario)]
        engines.setdefault(tuple(others), []).extend(limited)
    for number, scenarios in enumerate(filter(None, engines.values())):
        limits = derived.limits_of(sweep, scenarios[0])
        memory = sorted({(one.batch_size, derived.memory_limit(spec, one, limits)) for one in scenarios})
        products = [(batch, derived.compute_limit(spec, limits)) for batch, _ in memory]
        colour, holds = SERIES[number % len(SERIES)], sorted({keys[one.engine, one.precision] for one in scenarios})
        figure.add_trace(_limit("limit of the memory bandwidth, measured", memory, "dash", colour, holds))
        figure.add_trace(_limit("limit of the matrix products, measured", products, "dot", colour, holds))


def _limit(title: str, points: list[tuple[int, float]], dash: str, colour: str, keys: list[int]):
    from plotly import graph_objects as go

    return go.Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        name=title,
        line={"color": colour, "dash": dash, "width": 1.5},
        hovertemplate=f"{title}<br><b>%{{y:.4~g}} tokens/s</b><extra></extra>",
        meta=keys,
    )
