"""`--dry_run`: what every command's plan says alike."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import pytest

from bench_deepspeed.benchmarks.common.plan_lines import is_alike, say_time
from bench_deepspeed.benchmarks.common.scenario import scenario_of
from bench_deepspeed.cli import parser

STARTED = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc)
SCENARIO = scenario_of(parser.parse(["-d", "cpu"]))


def saved(folder: Path, name: str, minutes: float, **changes) -> Path:
    """A result that was last written so long after its start."""
    path = folder / name / "result.json"
    path.parent.mkdir()
    content = {"status": "complete", "started_at": STARTED.isoformat(), "scenario": {**vars(SCENARIO)}, **changes}
    path.write_text(json.dumps(content))
    ended = STARTED.timestamp() + 60 * minutes
    os.utime(path, (ended, ended))
    return path


@pytest.fixture
def said(tmp_path, capsys):
    """The line about the time, with what stands in the folder."""

    def line() -> str:
        say_time(tmp_path.glob("*/result.json"), is_alike(SCENARIO), lambda saved: f"{saved['scenario']['processes']}")
        return " ".join(capsys.readouterr().out.split())

    return line


def test_the_newest_complete_run_of_the_same_subject_shows_its_time(tmp_path, said):
    saved(tmp_path, "1", 5.0)
    saved(tmp_path, "2", 63.5)
    saved(tmp_path, "3", 1.0, status="interrupted")
    saved(tmp_path, "4", 1.0, scenario={**vars(SCENARIO), "engine": "mii"})
    assert said().startswith("time 1:03:30 (h:mm:ss) for an earlier one here, with 3: ")


@pytest.mark.parametrize("changes", [{"started_at": "soon"}, {"started_at": None}, {"scenario": 3}, {"scenario": {}}])
def test_a_damaged_one_is_passed_over(tmp_path, said, changes):
    saved(tmp_path, "1", 5.0, **changes)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "result.json").write_text("[")
    assert said().startswith("time not known")


@pytest.mark.parametrize("minutes", [-1.0, 24 * 60 + 1])
def test_a_file_that_was_touched_since_shows_nothing(tmp_path, said, minutes):
    saved(tmp_path, "1", minutes)
    assert said().startswith("time not known")
