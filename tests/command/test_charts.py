"""Charts of every description: what their SVG, their PNG and the page's figure hold, whatever they are given."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from bench_deepspeed.report import vega
from bench_deepspeed.report.chart import (
    Axis,
    BarRow,
    Bars,
    Lines,
    Point,
    Sample,
    Series,
    Strip,
    StripRow,
)

IDLE = "GPU idle"


def lines(members: int = 2, points: int = 4, log: bool = False, text: str = "", **changed) -> Lines:
    drawn = tuple(
        Series(
            f"{text}series {n}",
            tuple(Point(2.0**i, 90.0 * (n + 1) * 2.0**i, 4.0, f"{text}{i}", f"{text}hover {i}") for i in range(points)),
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
            samples=tuple(Sample(100.0 + n + i, i, f"{text}sample {i}") for i in range(samples)),
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


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_chart_gives_the_same_svg(kind):
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"import test_charts; sys.stdout.write(test_charts.vega.svg(test_charts.{kind.__name__}()))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout == vega.svg(kind())


def test_nothing_heavy_is_imported_before_a_chart_is_drawn():
    program = (
        "import sys, bench_deepspeed.report.vega\n"
        "assert not {'altair', 'vl_convert', 'pandas', 'narwhals'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
