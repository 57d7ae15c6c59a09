from __future__ import annotations

from markupsafe import escape

from bench_deepspeed.report.charts_plotly import SERIES, SYMBOLS, _finished

from .metrics import Figures
from .records import Level


def latency(curves: list[tuple[int, str, list[tuple[Level, Figures]]]]) -> dict | None:
    """Median latency over throughput, a curve for each (key, name, levels); None where no level has a latency.

    A level that has remarks in the table is hollow.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    for number, (key, name, levels) in enumerate(curves):
        points = [(level, found) for level, found in levels if found.e2e_s]
        if not points:
            continue
        waits = points[0][0].clients is not None
        symbol = SYMBOLS[number % len(SYMBOLS)]
        figure.add_trace(
            go.Scatter(
                x=[found.requests_per_s for _, found in points],
                y=[found.e2e_s["p50"] for _, found in points],
                mode="lines+markers+text",
                text=["trace" if not (load := level.clients or level.rate) else f"{load:g}" for level, _ in points],
                textposition="top center",
                name=name,
                line={"color": SERIES[number % len(SERIES)], "width": 2.5, "dash": None if waits else "dash"},
                marker={"symbol": [symbol + ("-open" if found.remarks else "") for _, found in points], "size": 10},
                customdata=[escape(_told(level, found)) for level, found in points],
                hovertemplate="%{customdata}<br><b>%{x:.3~g} requests/s, %{y:.4~g} s</b><extra></extra>",
                meta=[key],
            )
        )
    if not figure.data:
        return None
    figure.update_xaxes(title_text="throughput, requests/s", rangemode="tozero")
    figure.update_yaxes(title_text="latency (median), s", rangemode="tozero")
    return _finished(figure)


def _told(level: Level, found: Figures) -> str:
    percentiles = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in found.e2e_s.items())
    return "; ".join([f"{level.name}: E2E {percentiles}", *found.remarks])
