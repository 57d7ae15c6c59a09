"""Charts of every description: what their SVG, their PNG and the page's figure hold, whatever they are given."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import altair
import pytest

from bench_deepspeed.report import legend, palette, specs, svg, vega
from bench_deepspeed.report.chart import Axis, BarRow, Bars, Chart, Dot, Lines, Point, Series, Strip, StripRow

HOSTILE = "</script><script>alert(1)</script> & \"quoted\" 'name' <img src=x onerror=alert(1)>"
IDLE = "GPU idle"
MANY = 12


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the fixture of all commands: here figures are drawn, in other processes too."""
    monkeypatch.delenv("PYTHONPATH", raising=False)


def lines(members: int = 2, points: int = 4, log: bool = False, text: str = "", **changed) -> Lines:
    drawn = tuple(
        Series(
            f"{text}series {n}",
            tuple(
                Point(2.0**i, y := 90.0 * (n + 1) * 2.0**i, (y - 4.0, y + 4.0), f"{text}{i}", f"{text}hover {i}")
                for i in range(points)
            ),
            keys=(n,),
            stroke="dashed" if n % 2 else "solid",
        )
        for n in range(members)
    )
    x, y = Axis(f"{text}batch", log=log, from_zero=not log), Axis(f"{text}rate", "tokens/s", log, not log)
    return dataclasses.replace(Lines(f"{text}throughput", x, y, drawn, f"{text}says", f"{text}of it"), **changed)


def strip(rows: int = 2, samples: int = 4, text: str = "", **changed) -> Strip:
    drawn = tuple(
        StripRow(
            label=f"{text}row {n}",
            keys=(n,),
            note=f"{text}note",
            value=f"{n} tokens/s",
            aside="[1, 2]",
            warnings=f"{text}wide_interval",
            samples=tuple(Dot(100.0 + n + i, i, f"{text}sample {i}") for i in range(samples)),
            mean=101.0 + n,
            low=100.0 if n % 2 else None,
            high=103.0 if n % 2 else None,
        )
        for n in range(rows)
    )
    made = Strip(f"{text}speed", Axis("", f"{text}tokens/s", from_zero=True), drawn, f"{text}says")
    return dataclasses.replace(made, **changed)


def bars(rows: int = 2, parts: int = 3, text: str = "") -> Bars:
    made = (*((f"{text}part {n}", 0.001 * (n + 1)) for n in range(parts)), (IDLE, 0.004))
    drawn = tuple(BarRow(label=f"{text}row {n}", keys=(n,), note=f"{text}note", parts=made) for n in range(rows))
    return Bars(f"{text}step", drawn, f"{text}says", idle=(IDLE,))


KINDS = [lines, strip, bars]


def tree(chart: Chart) -> ET.Element:
    return ET.fromstring(vega.svg(chart))


def texts(chart: Chart) -> list[str]:
    return [found.text or "" for found in tree(chart).iter("{http://www.w3.org/2000/svg}text")]


def marks(chart: Chart, kind: str) -> list[ET.Element]:
    """The marks of a kind that the chart's layers draw; not those of axes and legends."""
    groups = [g for g in tree(chart).iter() if f"mark-{kind} role-mark" in g.get("class", "")]
    return [mark for group in groups for mark in group]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("members", "points"), [(0, 0), (1, 0), (1, 1), (2, 1), (MANY, MANY)])
def test_every_kind_is_drawn_with_any_number_of_points(kind, members: int, points: int):
    chart = kind(members, points)
    assert tree(chart).tag.endswith("svg")
    assert [len(vega.page_figure(chart)["members"]), len(chart.keys)] == [members, members]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [specs.DOCUMENT, specs.WIDE, specs.NARROW])
def test_every_specification_is_vega_lites(kind, place: specs.Place):
    """By its own schema, which the product does not take the time for."""
    altair.Chart.from_dict(vega.spec(kind(), place))


@pytest.mark.parametrize("points", [0, 1, 2, MANY])
def test_axes_of_powers_are_drawn_with_any_number_of_points(points: int):
    assert tree(lines(1, points, log=True)).tag.endswith("svg")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_chart_gives_the_same_svg(kind):
    program = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
        f"import test_charts; sys.stdout.write(test_charts.vega.svg(test_charts.{kind.__name__}()))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout == vega.svg(kind())


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_text(kind):
    chart = kind(2, 2, text=HOSTILE)
    drawn = vega.svg(chart, source=HOSTILE)
    found = ET.fromstring(drawn)
    names = {element.tag.rpartition("}")[2] for element in found.iter()}
    assert not names & {"script", "img", "image", "foreignObject", "a"}
    assert HOSTILE in found.findtext("{http://www.w3.org/2000/svg}metadata")
    assert any("</script>" in text for text in texts(chart))
    assert not [name for element in found.iter() for name in element.attrib if name.startswith("on")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_fits_light_and_dark_pages(kind):
    drawn = vega.svg(kind(), source="speed.json sha256:12")
    assert "Source: speed.json sha256:12" in drawn
    assert "<desc>says</desc>" in drawn
    assert "prefers-color-scheme: dark" in drawn
    assert "var(" not in drawn
    colours = set(re.findall(r'(?:fill|stroke)="(#\w+)"', drawn))
    assert colours <= {light for light, _ in palette.COLOURS.values()}, "a colour that dark pages do not change"
    assert not re.search(r"\d{4}-\d\d-\d\d", drawn)


def test_a_document_without_a_source_names_none():
    assert "<metadata>" not in vega.svg(lines())


def test_each_colour_on_light_pages_has_one_on_dark_ones():
    """Dark pages' colours are found by light pages' ones."""
    assert len({light for light, _ in palette.COLOURS.values()}) == len(palette.COLOURS)


@pytest.mark.parametrize("colours", [palette.COLOURS[name] for name in ("--ink", "--muted")])
def test_text_can_be_read_on_a_page_of_either_kind(colours):
    """Also where the reader prefers one kind and the page is of the other."""
    for colour in colours:
        assert min(contrast(colour, "#ffffff"), contrast(colour, "#0d1117")) > 2.4


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG 2 has it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_png_is_a_picture():
    assert vega.png(vega.svg(lines())).startswith(b"\x89PNG")


def flagged(chart: Lines) -> Lines:
    first = chart.series[0]
    points = (dataclasses.replace(first.points[0], flagged=True), *first.points[1:])
    return dataclasses.replace(chart, series=(dataclasses.replace(first, points=points), *chart.series[1:]))


def test_open_markers_are_explained_only_where_there_are_some():
    chart = lines()
    note = f"open: {chart.flag}"
    assert note not in texts(chart)
    assert note in texts(flagged(chart))
    assert note not in [entry.name for entry in legend.legend(chart)]
    assert [entry.keys for entry in legend.legend(flagged(chart)) if entry.name == note] == [[0]]


def test_an_open_marker_has_no_fill_of_any_page():
    plain, marked = (
        [mark.get("fill") for mark in marks(chart, "symbol")] for chart in (lines(1, 3), flagged(lines(1, 3)))
    )
    assert None not in plain
    assert marked.count(None) == 1


@pytest.mark.parametrize("log", [False, True])
def test_error_bars_are_in_the_document_and_in_the_page(log: bool):
    chart = lines(2, 3, log=log)
    assert len(marks(chart, "rule")) == 2 * 3
    without = [
        dataclasses.replace(series, points=tuple(dataclasses.replace(point, interval=None) for point in series.points))
        for series in chart.series
    ]
    assert not marks(dataclasses.replace(chart, series=tuple(without)), "rule")
    page = json.dumps(vega.page_figure(chart))
    assert page.count('"erring": true') == 2 * 2 * 3  # wide and narrow


def test_axes_that_are_not_of_powers_have_values_of_any_sign():
    points = (Point(0, 0, (-3, 3)), Point(-1, 2), Point(4, -5))
    assert "NaN" not in vega.svg(lines(series=(Series("any", points, keys=(0,)),)))


def test_an_error_below_zero_does_not_leave_an_axis_of_powers():
    chart = lines(1, 1, log=True, series=(Series("wide", (Point(1, 2, (-3, 7)), Point(2, 4)), keys=(0,)),))
    assert "NaN" not in vega.svg(chart)


def test_an_axis_of_powers_refuses_what_has_no_logarithm():
    with pytest.raises(ValueError, match="rate has a value that is not above 0"):
        lines(log=True, series=(Series("none", (Point(1, 0),), keys=(0,)),))


@pytest.mark.parametrize("highest", [3.0, 700.0, 4e6, 3e9])
def test_ticks_of_powers_are_all_written_alike(highest: float):
    chart = lines(series=(Series("one", (Point(1, highest / 900), Point(2, highest)), keys=(0,)),), log=True)
    drawn = [text for text in texts(chart) if re.match(r"[\d.,]+(e|$)", text)]
    assert len(drawn) > 3
    assert not [text for text in drawn if "e" in text]
    assert not [text for text in drawn if re.match(r"\d{4}", text)], "thousands are separated"


def test_no_two_of_twelve_lines_have_the_same_colour():
    entries = legend.legend(lines(MANY))
    assert len({entry.colour for entry in entries}) == MANY
    more = legend.legend(lines(2 * MANY))
    assert len({(entry.colour, entry.path) for entry in more}) == 2 * MANY, "colours begin again with other markers"


@pytest.mark.parametrize("groups", range(1, MANY + 1))
def test_groups_of_a_quantity_have_colours_of_one_order_and_none_twice(groups: int):
    colours = [entry.colour for entry in legend.legend(lines(groups, ordered=True))]
    numbers = [palette.STEPS.index(colour) for colour in colours]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert groups == 1 or numbers[-1] == len(palette.STEPS) - 1


@pytest.mark.parametrize(("place", "page"), [(0, "#ffffff"), (1, "#171c23")])
def test_ordered_colours_are_seen_on_their_page(place: int, page: str):
    colours = [palette.COLOURS[name[4:-1]][place] for name in palette.STEPS]
    assert min(contrast(colour, page) for colour in colours) >= 3.0
    assert len(set(colours)) == len(colours)
    assert "#ffffff" not in colours


def test_error_bars_at_one_place_stand_next_to_each_other():
    chart = lines(3, 2, log=True)
    bars = [mark.get("transform") for mark in marks(chart, "rule")]
    assert len(set(bars)) == len(bars) == 6


def limited(groups: int) -> Lines:
    """Measured lines, and a limit of the same name in the colour of each."""
    measured = lines(groups).series
    limits = tuple(Series("limit", one.points, one.keys, "dashed", marker=False, colour=one.name) for one in measured)
    return lines(series=(*measured, *limits))


def test_a_limit_has_the_colour_of_what_it_limits():
    looks = legend.series_looks(limited(2))
    assert [look.colour for look in looks[:2]] == [look.colour for look in looks[2:]]
    assert looks[0].colour != looks[1].colour


def test_limits_of_one_name_have_one_entry_in_no_colour_of_one():
    entries = legend.legend(limited(2))
    assert [entry.name for entry in entries] == ["series 0", "series 1", "limit"]
    assert (entries[-1].colour, entries[-1].keys) == (legend.INK, [0, 1])
    assert [entry.sign for entry in entries] == ["●", "- ■ -", "- - -"]


def test_a_reference_is_drawn_and_in_view():
    assert len(marks(strip(reference=50.0), "rect")) == len(marks(strip(), "rect")) + 2


def test_shares_are_written_in_the_parts_that_have_room():
    row = BarRow(label="row", keys=(0,), parts=(("wide", 0.97), ("narrow", 0.03)))
    drawn = [mark.text for mark in marks(Bars("step", (row,), "says"), "text") if mark.text]
    assert drawn == ["97%"]
    assert any("narrow" in text and "(3%)" in text for text in texts(Bars("step", (row,), "says")))


def test_an_idle_part_is_an_empty_frame():
    fills = [mark.get("fill") for mark in marks(bars(1), "rect")]
    assert fills.count(None) == 1
    assert [entry.sign for entry in legend.legend(bars(1))][-1] == "□"


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_figure_is_json_in_the_colours_of_its_page(kind):
    figure = vega.page_figure(kind(2, 3))
    written = json.dumps(figure)
    assert figure["keys"] == [0, 1]
    assert figure["members"] == [[0], [1]]
    assert "var(--ink)" in written
    assert all(light not in written for light, _ in palette.COLOURS.values())
    assert {"name": "shown", "value": [0, 1]} in figure["wide"]["signals"]


def test_a_page_has_every_colour_that_its_figures_name():
    """The names that are not series' are the page's own."""
    named = set(re.findall(r"var\((--[\w-]+)\)", json.dumps([vega.page_figure(kind(MANY)) for kind in KINDS])))
    own = {"--ink", "--muted", "--line", "--warn", "--on-series"}
    assert named <= own | set(re.findall(r"--series-\d+", palette.page_style()))


def test_nothing_heavy_is_imported_before_a_chart_is_drawn():
    program = (
        "import sys, bench_deepspeed.report.vega\n"
        "assert not {'altair', 'vl_convert', 'pandas', 'narwhals'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_scripts_of_a_page_fetch_nothing_and_end_no_element():
    bundle, ours = vega.page_scripts()
    assert len(bundle) < 1_000_000
    for script in (bundle, ours):
        assert "</script" not in script.lower()
        assert "<!--" not in script
    assert "ast: true" in ours, "else Vega needs eval, which the page's policy forbids"


class PanicError(BaseException):
    """As Rust's panics arrive in Python."""


def test_a_panic_of_the_drawing_library_costs_the_figure_alone(tmp_path, monkeypatch, capsys):
    def panic(_chart):
        raise PanicError("Too many open files")

    monkeypatch.setattr(vega, "svg", panic)
    assert svg.write(tmp_path, {"speed": None}) == []
    assert capsys.readouterr().err == "figure speed was not drawn: PanicError: Too many open files\n"
