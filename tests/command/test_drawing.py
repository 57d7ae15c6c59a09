"""Figures and progress bars: neither the user's settings for them nor their failure changes what was measured."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from support import BENCH, MEASURED_LOAD, SHORTEST, result_in

from bench_deepspeed.report import svg
from bench_deepspeed.report.chart import Axis, Lines, Point, Series

FIGURES = {"sweep": "prefill", "load": "load"}
"""Command → the name of the figure that it leaves."""
DRAWN = {**SHORTEST, "load": (*SHORTEST["load"], "--beside", MEASURED_LOAD)}
"""Command → flags with which it leaves its figures, however busy the machine is."""
JUPYTER = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "TQDM_DISABLE": "1"}
WRONG = {"MPLBACKEND": "qt", "TQDM_MININTERVAL": "abc", "TQDM_NCOLS": "x"}
ONE = Lines("One", Axis("x"), Axis("y"), (Series("measured", (Point(1, 2), Point(2, 3)), ()),), "one line")
BAD = SimpleNamespace()  # no chart


@pytest.mark.parametrize(("command", "variables"), [*((command, JUPYTER) for command in SHORTEST), ("run", WRONG)])
def test_settings_of_other_drawing_libraries_and_of_tqdm_do_not_matter(bench, tmp_path, command, variables):
    done = bench(*DRAWN[command], "--output_dir", "out", env={**variables, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    assert result_in(tmp_path)["status"] == "complete"
    if command in FIGURES:
        (drawn,), (png,) = (list(tmp_path.glob(f"out/**/{FIGURES[command]}.{kind}")) for kind in ("svg", "png"))
        assert "<path" in drawn.read_text()
        assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("command", "figure"), FIGURES.items())
def test_a_figure_that_fails_is_one_line_and_nothing_else(bench, tmp_path, command, figure):
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs" / "vl_convert.py").write_text("raise SystemError('it\\ncannot draw')")
    done = bench(*DRAWN[command], "--output_dir", "out", env={"PYTHONPATH": str(tmp_path / "stubs")})
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "draw" in line] == [
        f"figure {figure} was not drawn: SystemError: it cannot draw"
    ]
    result = result_in(tmp_path)
    assert (result["status"], result.get("error")) == ("complete", None)
    assert f"{figure}.svg" not in done.stdout
    assert list(tmp_path.glob("out/**/*.svg")) == []


def test_a_figure_that_cannot_be_written_is_one_line(tmp_path, capsys):
    assert svg.write(tmp_path / "none", {"one": ONE, "two": ONE}) == []
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "figure one was not drawn",
        "figure two was not drawn",
    ]


def test_one_figure_that_fails_does_not_keep_others_from_being_drawn(tmp_path, capsys):
    written = svg.write(tmp_path, {"bad": BAD, "good": ONE})
    assert written == [tmp_path / "good.png", tmp_path / "good.svg"]
    assert capsys.readouterr().err.startswith("figure bad was not drawn: ")


def test_unread_standard_error_does_not_end_a_run(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        command = [str(BENCH), *SHORTEST["run"], "--output_dir", "out"]
        environment = {**os.environ, "BENCH_PYTHON": sys.executable}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stderr=closed, stdout=subprocess.DEVNULL, check=False
        )
    assert done.returncode == 0
    assert result_in(tmp_path)["status"] == "complete"
