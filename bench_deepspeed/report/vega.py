"""Charts drawn with Vega-Lite: one specification gives the SVG and PNG of documents and the page's figure.

A specification has a parameter, `shown`: the numbers of the series or rows that are drawn. The page's filter sets it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from xml.sax.saxutils import escape

from . import line_specs, palette, row_specs, specs
from .chart import Bars, Chart, Lines, Strip
from .legend import INK, MUTED, legend

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Helvetica, Arial, sans-serif"
PNG_SCALE = 200 / 72  # 200 dots per inch
SCRIPT, STYLE = (Path(__file__).parent / f"charts.{suffix}" for suffix in ("js", "css"))


def svg(chart: Chart, source: str | None = None) -> str:
    """A chart as SVG, for light and dark pages; `source` goes into its metadata. The same chart gives the same text."""
    import vl_convert

    drawn = palette.painted(vl_convert.vegalite_to_svg(spec(chart, specs.DOCUMENT), vl_version=_version()))
    opening, content = drawn.split(">", 1)
    texts = {"title": chart.title, "desc": chart.says, "metadata": source and f"Source: {source}"}
    about = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in texts.items() if text)
    return f'{opening} role="img">{about}<style>{palette.dark_style()}</style>{content}\n'


def png(drawn: str) -> bytes:
    """What `svg` drew as PNG, transparent, in the colours of light pages."""
    import vl_convert

    return vl_convert.svg_to_png(drawn, scale=PNG_SCALE)


def page_figure(chart: Chart) -> dict:
    """A chart for the HTML page, as JSON that `charts.js` draws: Vega's specifications for wide and narrow windows.

    They are compiled here: in the page Vega-Lite would warn of what is meant, such as rows of a given height.
    `members`: the keys of each series or row, by its number. `legend`: what the page writes below it.
    """
    return {
        "title": chart.title,
        "subtitle": chart.subtitle,
        "says": chart.says,
        "keys": chart.keys,
        "members": [list(member.keys) for member in chart.members],
        "legend": [
            {"name": entry.name, "colour": entry.colour, "sign": entry.sign, "keys": entry.keys}
            for entry in legend(chart)
        ],
        "wide": _compiled(chart, specs.WIDE),
        "narrow": _compiled(chart, specs.NARROW),
    }


@functools.cache
def page_scripts() -> tuple[str, ...]:
    """The scripts that draw a page's figures, to be written into it: Vega's, which takes a second, and ours."""
    import vl_convert

    return vl_convert.javascript_bundle(vl_version=_version()), SCRIPT.read_text(encoding="utf-8")


def page_style() -> str:
    """The style of what is shown with a page's figures: the text on hovering."""
    return STYLE.read_text(encoding="utf-8")


def _compiled(chart: Chart, place: specs.Place) -> dict:
    import vl_convert

    return vl_convert.vegalite_to_vega(spec(chart, place), vl_version=_version())


def _version() -> str:
    """The version of Vega-Lite that Altair writes: of v6.1.0, 6.1."""
    import altair

    return altair.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]


def spec(chart: Chart, place: specs.Place) -> dict:
    """The Vega-Lite specification of a chart in a place."""
    from altair.utils.schemapi import debug_mode

    data: specs.Datasets = {}
    with debug_mode(False):  # a test validates what it comes to, which takes longer than all else
        drawn = _configured(chart, place, data).to_dict(validate=False)
    return {**drawn, "datasets": {**drawn.get("datasets", {}), **data}}


def _configured(chart: Chart, place: specs.Place, data: specs.Datasets):
    """A chart as Altair's, with its texts and colours; its records go to `data`."""
    import altair as alt

    drawn = {Lines: line_specs.lines, Strip: row_specs.strip, Bars: row_specs.bars}[type(chart)](chart, place, data)
    if place.is_document:
        drawn.title = specs.title(chart.title, chart.subtitle, place)
    else:
        drawn.autosize = alt.AutoSizeParams(type="fit-x", contains="padding")
    drawn.params = [alt.VariableParameter(name="shown", value=list(range(len(chart.members))))]
    text = {"labelColor": MUTED, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12.5}
    lines = {"gridColor": specs.LINE, "domainColor": specs.LINE, "tickColor": specs.LINE}
    drawn.config = alt.Config(
        font=FONT,
        background="transparent",
        aria=False,
        padding=6,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(**text, **lines, titleFontWeight="normal", titlePadding=10),
        legend=alt.LegendConfig(
            **text, symbolSize=70, symbolStrokeWidth=2, symbolOpacity=1, labelLimit=0, columnPadding=60
        ),
        title=alt.TitleConfig(
            anchor="start", color=INK, subtitleColor=MUTED, fontSize=16, subtitleFontSize=12, offset=14
        ),
    )
    return drawn
