"""The host's speed around each timed call: the loop, where it is kept, and how far it explains the times."""

from __future__ import annotations

import json
import sys

import numpy
import pytest
import scipy.stats
from builders import steady_result

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.engines.base import Generation
from bench_deepspeed.engines.fake import FakeEngine
from bench_deepspeed.machine import host, probe
from bench_deepspeed.measure.records import Result, Run, Sample
from bench_deepspeed.simulations import host_control, host_speed
from bench_deepspeed.worker.state import LoadedEngine, Worker


def test_the_loop_is_a_few_milliseconds_and_its_median_is_no_outlier(monkeypatch):
    assert 0 < host.loop_s() < 0.1
    ticks = iter([0.0, 1.0, 0.0, 1.0, 0.0, 90.0, 0.0, 1.2, 0.0, 0.9])
    monkeypatch.setattr(host.time, "perf_counter", lambda: next(ticks))
    assert host.loop_s() == 1.0


def test_the_loop_runs_right_before_the_clock_starts_and_after_it_has_stopped(monkeypatch):
    events = []
    loops = iter([0.001, 0.002])

    class Engine(FakeEngine):
        def clock(self) -> float:
            events.append("clock")
            return 0.0

        def synchronize(self) -> None:
            events.append("synchronized")

    class Watching(probe.Probe):
        def after(self):
            events.append("read")
            return super().after()

    def loop() -> float:
        events.append("loop")
        return next(loops)

    monkeypatch.setattr(probe, "loop_s", loop)
    worker = Worker(lambda *progress: None)
    worker.use(LoadedEngine(Engine(), "cpu", Watching("cpu")))
    timed = worker.timed(lambda: events.append("call") or Generation("", 1, 1))
    assert timed.host_s == [0.001, 0.002]
    assert events == ["loop", "synchronized", "clock", "call", "synchronized", "clock", "read", "loop"]


def test_an_engine_whose_times_do_not_depend_on_the_machine_has_no_host_speed():
    assert probe.NoProbe().host_s() is None


def measured(processes: int, repetitions: int) -> Result:
    """A result whose times follow the host's loop by 3 s a second, with noise of their own."""
    draw, result = numpy.random.default_rng(0), steady_result(100.0)
    result.runs = []
    for _ in range(processes):
        level = draw.normal(0.001, 0.0002)
        loops = level + draw.normal(0, 0.0001, repetitions)
        result.runs.append(Run(samples=[Sample(1 + 3 * h + draw.normal(0, 2e-4), 5, 100, None, [h, h]) for h in loops]))
    return result


@pytest.mark.parametrize("shape", [(10, 10), (3, 5), (4, 1)])
def test_what_the_host_explains_is_scipys_regression(shape):
    """Within processes as a regression with one intercept a process, between them as one of the means."""
    groups = [[(s.host_s[0], s.seconds) for s in run.samples] for run in measured(*shape).runs]
    assert host_speed.groups_of(measured(*shape)) == groups
    means = numpy.array([numpy.mean(group, axis=0) for group in groups])
    line = scipy.stats.linregress(means[:, 0], means[:, 1])
    found = host_speed.explained(host_speed.between(groups), 1)
    assert (found["r"], found["slope"], found["p"]) == pytest.approx((line.rvalue, line.slope, line.pvalue))
    residual = means[:, 1] - line.intercept - line.slope * means[:, 0]
    assert found["left"] == pytest.approx(residual @ residual / (len(means) - 2) / means[:, 1].var(ddof=1))
    if shape[1] == 1:
        assert host_speed.explained(host_speed.within(groups), len(groups)) is None
        return
    flat, process = numpy.concatenate(groups), numpy.repeat(numpy.arange(shape[0]), shape[1])
    design = numpy.column_stack([flat[:, 0], process[:, None] == numpy.arange(shape[0])])
    solved = numpy.linalg.lstsq(design, flat[:, 1])
    found = host_speed.explained(host_speed.within(groups), shape[0])
    assert found["slope"] == pytest.approx(solved[0][0])
    alone = numpy.array([x for group in groups for x in numpy.array(group)[:, 1] - numpy.mean(group, axis=0)[1]])
    degrees = len(flat) - shape[0]
    assert found["left"] == pytest.approx(solved[1][0] / (degrees - 1) / (alone @ alone / degrees))


def test_the_study_is_a_table_and_names_a_result_without_readings(tmp_path, monkeypatch, capsys):
    measured(3, 5).save(tmp_path / "with.json")
    steady_result(100.0, 101.0).save(tmp_path / "without.json")
    monkeypatch.setattr(sys, "argv", ["host_speed", str(tmp_path / "with.json")])
    assert host_speed.main() == 0
    assert "repetitions within processes | 15 " in capsys.readouterr().out
    with pytest.raises(BenchError, match="without has no readings of the host's speed"):
        host_speed.rows("without", Result.load(tmp_path / "without.json"))


def test_an_interval_that_is_adjusted_with_the_own_processes_mean_is_wrong():
    evidence = json.loads(host_control.EVIDENCE.read_text())
    assert evidence == host_control.evidence()
    for row in evidence["rows"]:
        covered = {name: found["covered"] / evidence["trials"] for name, found in row["intervals"].items()}
        width = {name: found["mean_half_width"] for name, found in row["intervals"].items()}
        assert all(covered[name] > 0.94 for name in ("plain", "known", "loops"))
        if row["correlation"]:
            assert covered["own"] < 0.8
            assert width["known"] < width["loops"] < 0.75 * width["plain"]
