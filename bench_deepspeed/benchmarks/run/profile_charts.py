from __future__ import annotations

from bench_deepspeed.measure.records import Profile
from bench_deepspeed.report.charts_plotly import SERIES, Line, _finished, _label_rows

from . import profile_view as profile_report

FAMILIES = dict(zip(profile_report.COLOURS, SERIES, strict=True))
HATCHED = {"shape": "/", "solidity": 0.12, "fgcolor": "var(--muted)", "bgcolor": "var(--card)"}
LABELLED = 0.06  # a part of a bar that is narrower than this share has no room for its figure


def steps(lines: list[tuple[Line, Profile]]) -> dict:
    """A bar for each profile: the shares of a step that the device worked, by family, and that it waited."""
    from plotly import graph_objects as go

    figure = go.Figure(layout={"barmode": "stack"})
    for line, profile in lines:
        for part, seconds in profile_report.step_parts(profile).items():
            share, colour = seconds / profile.step_s if profile.step_s > 0 else 0.0, FAMILIES.get(part)
            bar = go.Bar(
                x=[share],
                y=[line.name],
                orientation="h",
                name=part,
                marker={
                    "color": colour or "var(--card)",
                    "pattern": None if colour else HATCHED,
                    "line": _edge(colour),
                },
                text=f"{share:.0%}" if share > LABELLED else "",
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": "var(--on-series)" if colour else "var(--ink)"},
                constraintext="none",
                hovertemplate=f"{part}<br><b>{1e3 * seconds:.4g} ms, {share:.1%}</b><extra></extra>",
                width=0.34,
                meta=line.keys,
            )
            figure.add_trace(bar)
    _label_rows(figure, [line for line, _ in lines])
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return _finished(figure, rows=True)


def _edge(colour: str | None) -> dict:
    return {"color": "var(--card)" if colour else "var(--muted)", "width": 1}
