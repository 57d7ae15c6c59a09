"""`bench.sh load` as users run it: the stub, a real engine, what cannot be, and what is left when it is ended."""

from __future__ import annotations

import os
import re
import signal
import socket

import pytest
from support import MEASURED_LOAD, STUB, InProcess, behave, error_of, unwrapped, wait_until
from support import saved_load as saved

from bench_deepspeed.benchmarks.load import objective, search


def test_levels_a_table_and_a_plot(bench, tmp_path):
    flags = ("--clients", "1,2", "--rates", "20", "--seconds", "0.5", "--sla_ttft", "5", "--beside", MEASURED_LOAD)
    done = bench(*STUB, *flags, env=behave())
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert result.status == "complete"
    assert [level.name for level in result.levels] == ["1 client", "2 clients", "20 requests/s"]
    assert all(level.name in done.stdout for level in result.levels)
    assert "known service time" in done.stdout
    assert "goodput" in done.stdout
    for name in ("load.svg", "load.png"):
        assert len(list(tmp_path.glob(f"out/*/load/*/{name}"))) == 1
    bench.require_none_left()


def test_a_target_that_answers_otherwise_under_load_is_found_out(bench, tmp_path):
    """The level of one client is as it is; with four at a time the answers are others."""
    flags = (*STUB, "--clients", "1,4,8", "--seconds", "0.5", "-m", "8")
    done = bench(*flags, env=behave(garbled_from=2))
    assert done.returncode == 6, done
    assert done.stdout == ""
    assert "impossible: 4 clients: " in error_of(done.stderr)
    result = saved(tmp_path)
    assert (result.status, len(result.levels)) == ("failed", 2)
    assert result.levels[0].check.first_differences == [None] * 4
    (path,) = tmp_path.glob("out/*/load/*/load.json")
    shown = InProcess(tmp_path)("results", "show", path.parent.name, "--output_dir", "out")
    assert "impossible: 4 clients: " in unwrapped(shown.stdout)
    assert "|" not in shown.stdout  # no table


def test_curves_of_earlier_tests_are_drawn_with_it(bench, tmp_path):
    done = bench(*STUB, "--clients", "1", "--seconds", "0.5", "--beside", MEASURED_LOAD, env=behave())
    assert done.returncode == 0, done
    (plot,) = tmp_path.glob("out/*/load/*/load.svg")
    assert ", by clients" in plot.read_text()


def test_a_rate_that_is_not_sustained_ends_the_levels(bench, tmp_path):
    behaviour = behave(first_s=0.01, gap_s=0.0, at_once=1)  # 100 requests a second at most
    done = bench(*STUB, "--rates", "150,160", "--seconds", "0.5", "-m", "1", env=behaviour)
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert [level.rate for level in result.levels] == [150.0]
    assert "not sustained: " in result.stopped
    assert result.levels[0].window_s[1] - result.levels[0].window_s[0] >= 3 * 0.5  # held again, for longer
    found = re.search(r"maximum sustainable request rate: less than ([\d.]+) requests/s", unwrapped(done.stdout))
    assert 130 <= float(found[1]) < 170


def test_a_target_that_dies_while_a_rate_is_held_again_leaves_the_first_level(bench, tmp_path):
    behaviour = behave(first_s=0.05, gap_s=0.0, at_once=1, die_at=250)
    done = bench(*STUB, "--rates", "60", "--seconds", "2", "-m", "1", env=behaviour)
    assert done.returncode == 1, done
    assert "the stub server ended" in error_of(done.stderr)
    (level,) = saved(tmp_path).levels
    assert 1.99 <= level.window_s[1] - level.window_s[0] < 3 * 2


SLO = ("--slo", "e2e_p50<=300ms", "--seconds", "0.2", "-m", "1")
ONE_AT_ONCE = {"first_s": 0.01, "gap_s": 0.0, "at_once": 1}  # 100 requests a second at most


def test_a_search_measures_rates_until_it_knows(bench, tmp_path):
    """What it finds depends on the machine; `test_load_slo` has the search on simulated queues."""
    done = bench(*STUB, *SLO, env=behave(**ONE_AT_ONCE))
    assert done.returncode == 0, done
    rates = [level.rate for level in saved(tmp_path).levels]
    assert len(rates) == len(set(rates)) >= 2
    found = search.words(saved(tmp_path).levels, objective.slo(SLO[1]))
    assert all(line in unwrapped(done.stdout) for line in found)
    assert "each level takes 12 requests: p50 needs 6 independent ones" in done.stderr


def test_an_interrupted_search_keeps_and_prints_what_was_measured(bench, tmp_path):
    process = bench.start(*STUB, *SLO, "--rates", "20", env=behave(**ONE_AT_ONCE))
    wait_until(lambda: list(tmp_path.glob("out/*/load/*/load.json")) and saved(tmp_path).levels)
    os.kill(process.pid, signal.SIGINT)
    done = bench.finish(process)
    assert done.returncode == 130, done
    assert saved(tmp_path).levels[0].rate == 20.0
    assert "SLO e2e_p50<=300ms" in done.stdout


def test_a_rate_at_which_requests_fail_ends_the_sweep(bench, tmp_path):
    behaviour = behave(first_s=0.05, gap_s=0.0, at_once=1)
    done = bench(*STUB, "--rates", "100,110", "--seconds", "2", "-m", "1", "--timeout", "1", env=behaviour)
    assert done.returncode == 1, done
    result = saved(tmp_path)
    assert [level.rate for level in result.levels] == [100.0]
    assert "requests failed" in result.stopped


def test_failed_requests_are_an_error_and_the_target_is_started_anew(bench, tmp_path):
    done = bench(*STUB, "--clients", "1,2", "--seconds", "0.5", env=behave(short_at=20))
    assert done.returncode == 1
    assert "requests failed; their latencies are infinite in the percentiles" in error_of(done.stderr)
    result = saved(tmp_path)
    assert result.status == "complete"
    assert len(result.levels) == 2


def test_a_server_that_dies_leaves_what_was_measured(bench, tmp_path):
    done = bench(*STUB, "--clients", "1", "--rates", "100", "--seconds", "0.5", env=behave(die_at=60))
    assert done.returncode == 1
    assert "the stub server ended with code 1" in done.stderr
    result = saved(tmp_path)
    assert result.status == "failed"
    assert len(result.levels) <= 1
    bench.require_none_left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_is_left_when_it_is_ended(bench, tmp_path, number, code):
    process = bench.start(*STUB, "--clients", "1,2", "--seconds", "1", "--rates", "1", env=behave())
    wait_until(lambda: list(tmp_path.glob("out/*/load/*/load.json")) and saved(tmp_path).levels)
    os.kill(process.pid, number)
    assert bench.finish(process).returncode == code
    wait_until(lambda: bench.processes() == [])
    result = saved(tmp_path)
    assert len(result.levels) >= 1
    assert result.status == ("running" if number == signal.SIGKILL else "interrupted")


def test_a_hanging_request_ends_with_its_timeout(bench, tmp_path):
    done = bench(*STUB, "--clients", "1", "--seconds", "0.5", "--timeout", "1", env=behave(hang_at=5))
    assert done.returncode == 1
    failed = [record for record in saved(tmp_path).levels[0].records if record.error]
    assert len(failed) == 1
    bench.require_none_left()


def test_a_port_in_use(bench):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = bench(*STUB, "--port", str(port), "--clients", "1")
    assert done.returncode == 3
    assert f"port {port} is in use" in error_of(done.stderr)
