"""A load level whose window is too short has no figures anywhere, says why, and names the seconds that would do."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from builders import NO_SLA
from builders import level_of as level
from builders import load as load_result
from builders import request_record as record
from support import STUB, behave, error_of, unwrapped
from support import saved_load as saved

from bench_deepspeed.benchmarks.load import latency, level_statistics, saturation
from bench_deepspeed.benchmarks.load import view as load_view
from bench_deepspeed.benchmarks.load.kind import KIND
from bench_deepspeed.benchmarks.load.records import Level, LoadResult
from bench_deepspeed.report import flat_files, terminal
from bench_deepspeed.results import files, flat, page

SLOW = behave(first_s=0.6, gap_s=0.0)  # each request takes 0.6 s
RATE = {"clients": None, "rate": 100.0}
TRACE = {"clients": None, "rate": None}
LEVEL_UNMEASURED = re.compile(r"not measured: (the window|no request|\d+ of \d+ requests)")
"""The remark of a level, and not the cell of a percentile with its number of requests."""
UNMEASURED = {
    "a closed loop": (level([record(0.0), record(0.9)], (0.3, 0.6)), "shorter than the shortest request", 1.8),
    "a zero window": (level([record(0.0)], (1.0, 1.0)), "the window of 0 s is shorter", 1.8),
    "a negative window": (level([record(0.0)], (2.0, 1.0)), "shorter than the shortest request", 1.8),
    "one ended in it": (level([record(0.0), record(0.1)], (0.85, 0.95)), "shorter than the shortest request", 1.8),
    "a high rate": (level([record(n / 100) for n in range(90)], (0.2, 0.8), **RATE), "shorter than the shortest", 1.9),
    "a rate that sent nothing": (level([], (1.0, 2.0), clients=None, rate=0.1), "no request was due", 50.0),
    "none was due": (level([record(0.5), record(9.0)], (1.0, 3.0), clients=None, rate=0.5), "no request was due", 12.0),
    "none ended": (level([record(0.0), record(2.5)], (1.0, 3.0), clients=None, rate=0.5), "no request ended", 12.0),
    "a trace": (level([record(0.0), record(1e-6)], (0.0, 1.5e-6), **TRACE), "0.9 s or more before its last", None),
    "failed ones only": (level([record(0.4, error="reset")], (0.3, 0.6)), "1 of 1 requests failed (reset)", None),
}


@pytest.fixture(params=UNMEASURED.values(), ids=UNMEASURED)
def case(request) -> tuple[Level, str, float | None]:
    """A level that is not measured, words of the reason, and the seconds that would do."""
    return request.param


def result_of(*levels: Level) -> LoadResult:
    return dataclasses.replace(load_result(), levels=list(levels), stopped=None)


def test_it_has_no_figures_and_the_remark_says_why(case):
    one, words, seconds = case
    found = level_statistics.statistics_of(one, {"ttft_s": 1.0, "tpot_s": None})
    assert found.remarks[0].startswith("not measured: ")
    assert words in found.remarks[0]
    assert ("use --seconds" in found.remarks[0]) == (seconds is not None)
    if seconds is not None:
        assert found.remarks[0].endswith(f"; use --seconds {seconds:g}")
    kept = {"due", "failed", "lag_p99_s", "remarks"}
    assert not any(value for name, value in vars(found).items() if name not in kept)


def test_it_is_neither_saturated_nor_sustained(case):
    one = dataclasses.replace(case[0], clients=None, rate=7.0)
    assert saturation.judge(one).state == "inconclusive"
    assert saturation.bracket([one]) == saturation.Bracket(None, None)


def test_it_is_not_measured_in_every_report(case, tmp_path):
    one, words, _ = case
    measured = level([record(n / 2) for n in range(30)])
    result = result_of(measured, one)
    row = {metric.title: metric.cell(KIND.rows(result)[1]) for metric in KIND.metrics}
    titles = ("requests/s achieved", "tokens/s", "E2E median, ms", "TTFT p99, ms", "ITL p90, ms", "goodput")
    assert {row[title] for title in titles} == {"not measured"}
    assert row["verdict"] == ("" if one.rate is None else "not measured")
    assert words in row["remarks"]
    assert "not measured" in terminal.render(KIND.view(result))
    assert (
        load_view.line(result, one) == f"{one.name}: {'; '.join(level_statistics.statistics_of(one, NO_SLA).remarks)}"
    )
    result.save(tmp_path / "load.json")
    (item,) = files.read([tmp_path / "load.json"])
    rows = flat.rows_of(item)
    rates = [name for name in rows[1] if name.endswith("_s") and name not in ("rate_per_s", "lag_p99_s")]
    assert len(rates) > 20
    assert {rows[1][name] for name in rates} == {None}
    assert rows[0]["requests_per_s"] is not None
    assert json.loads(flat_files.as_jsonl(rows).splitlines()[1])["requests_per_s"] is None
    assert list(csv.DictReader(io.StringIO(flat_files.as_csv(rows, rows[1]))))[1]["tokens_per_s"] == ""
    assert words in page.render([item])
    assert KIND.headline(result) == "0.00 (1 client)"
    assert KIND.headline(result_of(one)) == "not measured"


def test_a_test_without_a_measured_level_is_not_published(case):
    assert KIND.refusal(result_of(case[0])) == "no level was measured"
    assert KIND.refusal(result_of(level([record(3.0)]), case[0])) is None


def advised(done) -> str:
    """The seconds that the error line names."""
    error = error_of(done.stderr)
    assert error.startswith("no level was measured: ")
    return re.search(r"use --seconds ([\d.]+)$", error)[1]


@pytest.mark.parametrize("load", [("--clients", "1,4"), ("--rates", "100,200")])
def test_windows_shorter_than_a_request_end_in_exit_code_1_and_the_advice_works(bench, tmp_path, load):
    done = bench(*STUB, *load, "--seconds", "0.1", "-m", "1", env=SLOW)
    assert done.returncode == 1, done
    assert "0.00 of" not in done.stdout + done.stderr
    assert "not measured" in done.stdout
    result = saved(tmp_path)
    assert (len(result.levels), result.stopped) == (2, None)  # a level that is not measured ends no sweep
    assert (result.status, result.error) == ("failed", error_of(done.stderr))
    again = bench("load", "--target", "stub", *load, "--seconds", advised(done), "-m", "1", env=SLOW)
    assert again.returncode == 0, again
    assert not LEVEL_UNMEASURED.search(again.stdout)


def test_levels_that_were_measured_make_it_a_success(bench, tmp_path):
    done = bench(*STUB, "--clients", "1", "--rates", "0.01", "--seconds", "0.5", env=behave())
    assert done.returncode == 0, done
    assert "no request was due in the window of 2 s; use --seconds 500" in unwrapped(done.stdout)
    assert [level_statistics.unmeasured(one) is None for one in saved(tmp_path).levels] == [True, False]


def write_trace(path: Path, *arrivals: float) -> None:
    rows = [{"arrival_s": arrival, "prompt_tokens": 2, "output_tokens": 1} for arrival in arrivals]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_trace_says_which_arrivals_it_lacks(bench, tmp_path):
    trace = tmp_path / "trace.jsonl"
    write_trace(trace, 0.0, 1e-6)
    done = bench(*STUB, "--trace", trace, env=SLOW)
    assert done.returncode == 1, done
    error = error_of(done.stderr)
    apart = float(re.search(r"first sixth and ([\d.]+) s or more before its last request$", error)[1])
    assert "--seconds" not in error
    assert "666666" not in done.stdout
    write_trace(trace, 0.0, 1.0, 1.0 + apart)
    done = bench(*STUB[:3], "--trace", trace, "--output_dir", "again", env=SLOW)
    assert done.returncode == 0, done
    assert not LEVEL_UNMEASURED.search(done.stdout)


def test_a_request_under_way_is_followed_to_its_end_for_the_advice(bench, tmp_path):
    done = bench(*STUB, "--clients", "1", "--seconds", "0.1", "-m", "1", env=SLOW)
    (one,) = saved(tmp_path).levels
    longest = max(map(latency.e2e, one.records))
    assert longest >= 0.6
    assert 2 * longest <= float(advised(done)) < 2 * longest + 0.2
