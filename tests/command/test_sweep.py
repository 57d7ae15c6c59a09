"""`bench.sh sweep`: the product, its arithmetic, failures, resuming, and batches of the real SmolLM2."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from support import Bench, InProcess, error_of, sweep_of, sweep_path, titles, unwrapped, wait_until

from bench_deepspeed.benchmarks.sweep import derived, measure
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.measure.records import Limits

FAKE = ("sweep", "-d", "cpu", "--engines", "fake", "--output_dir", "out", "--processes", "1")
COST = {"step": 0.01, "token": 0.001, "prompt_token": 0.0001}


def run_fake(bench, *arguments: str, behaviour: dict | None = None, program=FAKE):
    """A sweep of the fake engine, on a virtual clock unless a flag says otherwise."""
    asked = json.dumps({"virtual": True, "cost": COST, **(behaviour or {})})
    return bench(*program, *arguments, env={"BENCH_FAKE": asked})


def statuses(sweep: SweepResult) -> dict[int, str]:
    return {scenario.batch_size: scenario.status for scenario in sweep.scenarios}


def test_the_product_is_measured_and_its_figures_are_the_cost(bench, tmp_path):
    done = run_fake(bench, "--batch_sizes", "1-4*2", "--prompt_tokens", "10,20", "--max_tokens", "5", "-r", "3")
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    assert (sweep.status, len(sweep.scenarios), len(sweep.loads)) == ("complete", 6, 1)
    for scenario in sweep.scenarios:
        size, prompt = scenario.batch_size, scenario.prompt_tokens
        step = 0.01 + size * 0.001
        assert [sample.seconds for sample in scenario.prefill] == pytest.approx(3 * [size * prompt * 1e-4 + step])
        assert derived.decode_rate(scenario).value == pytest.approx(size / step)
        assert derived.overall_tokens_per_s(scenario).value == pytest.approx(
            size * 5 / (size * prompt * 1e-4 + 5 * step)
        )
    assert [scenario.warmups for scenario in sweep.scenarios] == [3, 1, 1, 1, 1, 1]


def test_what_an_engine_does_not_run_in_is_refused_in_a_line_and_the_rest_is_a_matrix(bench, tmp_path):
    flags = ("--precisions", "float32,int8", "--batch_sizes", "1,2", "--prompt_tokens", "10", "--max_tokens", "5")
    done = run_fake(bench, *flags)
    assert done.returncode == 0, done.stderr
    assert [(s.precision, s.status) for s in sweep_of(tmp_path).scenarios] == [
        (precision, status) for precision, status in (("float32", "complete"), ("int8", "refused")) for _ in range(2)
    ]
    text = unwrapped(done.stdout)
    assert text.count("refused: fake int8: fake does not run in int8 on cpu: it computes nothing") == 1
    assert "Precisions, batch 2: 10 + 5 tokens" in text
    assert "166.7; answers not checked" in text  # of two sequences, 12 ms a step
    assert text.count("(1) it computes nothing") == 1
    assert text.count("refused (1)") == 2  # of both batches
    assert "int8" not in "".join(visit.precision for visit in sweep_of(tmp_path).order)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_each_process_measures_all_once_more(bench, tmp_path):
    """On a clock of its own no process differs, so that the intervals have no width."""
    done = run_fake(bench, "--batch_sizes", "1,2", "--prompt_tokens", "8", program=(*FAKE[:-2], "-r", "2"))
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    assert (sweep.settings.processes, len(sweep.loads)) == (3, 3)
    assert [(scenario.rounds, len(scenario.total)) for scenario in sweep.scenarios] == [([2, 2, 2], 6)] * 2
    assert [(visit.process, visit.engine) for visit in sweep.order] == [(n, "fake") for n in (1, 2, 3)]
    assert "n: 3 processes × 2 rounds" in unwrapped(done.stdout)
    assert done.stdout.count(" ± 0.0%") == 2
    assert "few_samples" not in done.stdout


@pytest.mark.parametrize(
    ("axes", "varies"),
    [
        (("--batch_sizes", "1,2", "--prompt_tokens", "8", "--max_tokens", "4"), ["batch"]),
        (("--batch_sizes", "2", "--prompt_tokens", "8,9", "--max_tokens", "4,5"), ["prompt", "new tokens"]),
        (("--batch_sizes", "2", "--prompt_tokens", "8", "--max_tokens", "4"), []),
    ],
)
def test_a_column_only_for_what_varies(bench, axes, varies):
    done = run_fake(bench, *axes)
    assert titles(done.stdout) == [*varies, "prefill", "decode tokens/s", "tokens/s"]
    constants = unwrapped(done.stdout.split("\n\n")[0])
    for title, value in {"batch": "2", "prompt": "8", "new tokens": "4"}.items():
        assert (f"; {title}: {value}" in constants) == (title not in varies)


def test_figures_only_of_what_varies(swept):
    folder = sweep_path(swept).parent
    assert sorted(path.name for path in folder.glob("*.[ps][nv]g")) == ["throughput.png", "throughput.svg"]


def test_one_token_has_no_decoding(bench):
    done = run_fake(bench, "--batch_sizes", "1,2", "--prompt_tokens", "8", "--max_tokens", "1")
    assert done.returncode == 0, done.stderr
    assert titles(done.stdout) == ["batch", "prefill", "tokens/s"]


def test_what_fails_is_recorded_and_the_sweep_goes_on(bench, tmp_path):
    fates = {"at_batch": {"2": "fail", "4": "die", "8": "short"}}
    done = run_fake(bench, "--batch_sizes", "1-16*2", "--prompt_tokens", "8", behaviour=fates)
    assert done.returncode == 1
    assert error_of(done.stderr) == "3 of 5 scenarios failed, as reported above"
    sweep = sweep_of(tmp_path)
    assert statuses(sweep) == {1: "complete", 2: "failed", 4: "failed", 8: "failed", 16: "complete"}
    reasons = [scenario.reason for scenario in sweep.scenarios if scenario.reason]
    for reason, words in zip(reasons, ("failed, as requested", "was killed", "void: sequence 1 of 8"), strict=True):
        assert words in reason
        assert str(tmp_path) not in reason
        assert reason in unwrapped(done.stdout)
    assert len(sweep.loads) == 4  # a fresh worker after each
    bench.require_none_left()


def test_what_cannot_fit_the_context_is_refused_with_the_arithmetic(bench, tmp_path):
    done = run_fake(bench, "--batch_sizes", "1", "--prompt_tokens", "8,8190")
    assert done.returncode == 0, done.stderr
    assert [scenario.status for scenario in sweep_of(tmp_path).scenarios] == ["complete", "refused"]
    assert "8190 + 16 tokens: these are 8206 in all, and the model's context is 8192" in unwrapped(done.stdout)


def test_what_is_beyond_the_limits_is_no_speed(tmp_path, monkeypatch):
    """Limits are given instead of measured, which takes seconds; test_plausibility.py has a run that measures them."""
    monkeypatch.setattr(measure, "measure_limits", lambda *_: Limits(1e10, 1e10, 1e11, "float32", cache_bytes=0))
    lies = {"lies": True, "cost": {"step": 1e-6, "prompt_token": 1e-3}}
    done = run_fake(InProcess(tmp_path), "--batch_sizes", "1,2", "--prompt_tokens", "8", behaviour=lies)
    assert done.returncode == 6
    assert "2 of 2 scenarios beyond this device's limits" in error_of(done.stderr)
    sweep = sweep_of(tmp_path)
    assert statuses(sweep) == {1: "impossible", 2: "impossible"}
    assert "steps/s × (" in sweep.scenarios[0].reason
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| 1 ", "| 2 "))]
    assert all("impossible" in row and not any(c.isdigit() for c in row.split("|", 2)[2]) for row in rows)


def test_an_interrupted_sweep_is_resumed_without_doing_anything_twice(bench, tmp_path):
    """The batch of 4 sleeps for ten minutes, where it is interrupted; then nobody waits any more."""
    axes = ("--batch_sizes", "1,2,4", "--prompt_tokens", "8", "--max_tokens", "2")
    slow = {"cost": {"step": 0.001, "token": 0.0}, "at_batch": {"4": "sleep"}}
    process = bench.start(*FAKE, *axes, env={"BENCH_FAKE": json.dumps(slow)})
    wait_until(lambda: sweep_path(tmp_path) and sweep_path(tmp_path).read_text().count('"complete"') == 2)
    process.send_signal(signal.SIGINT)
    done = bench.finish(process)
    assert done.returncode == 130, done.stderr
    bench.require_none_left()
    assert "bench.sh sweep --resume out/smollm2/" in done.stderr
    before = sweep_of(tmp_path)
    assert (before.status, statuses(before)) == ("interrupted", {1: "complete", 2: "complete", 4: "pending"})
    folder = sweep_path(tmp_path).parent
    done = run_fake(bench, "--resume", str(folder), program=("sweep",))
    assert done.returncode == 0, done.stderr
    after = sweep_of(tmp_path)
    assert (after.status, statuses(after)) == ("complete", {1: "complete", 2: "complete", 4: "complete"})
    assert after.scenarios[:2] == before.scenarios[:2]
    assert (len(after.started_at), len(after.loads)) == (2, 2)
    assert after.environment.command == before.environment.command
    assert "--resume" not in after.environment.command
    assert len(json.loads(sweep_path(tmp_path).read_text())["derived"]) == 3


def test_resuming_what_is_complete_loads_nothing(bench, tmp_path):
    run_fake(bench, "--batch_sizes", "1", "--prompt_tokens", "8")
    before = sweep_of(tmp_path)
    done = run_fake(bench, "--resume", str(sweep_path(tmp_path)), program=("sweep", "-d", "cpu"))
    assert done.returncode == 0, done.stderr
    assert (sweep_of(tmp_path).scenarios, sweep_of(tmp_path).loads) == (before.scenarios, before.loads)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, interruptible) -> Path:
    """The folder in which a sweep was measured; not to be written to."""
    folder = tmp_path_factory.mktemp("swept")
    assert run_fake(Bench(folder), "--batch_sizes", "1,2", "--prompt_tokens", "8").returncode == 0
    return folder


@pytest.fixture
def swept_here(swept, tmp_path) -> Path:
    """The file of that sweep, in the test's own folder."""
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    return sweep_path(tmp_path)


@pytest.mark.parametrize(
    ("flags", "change", "words"),
    [
        (("--batch_sizes", "1,3"), {}, "batch_sizes 1,2, not 1,3"),
        (("-r", "9"), {}, "repetitions 1, not 9"),
        (("-n", "llama"), {}, "model smollm2, not llama"),
        ((), {"cpu": "Another CPU"}, "the environment's cpu was Another CPU"),
        ((), {"packages": {"torch": "1.0"}}, "the environment's packages was torch 1.0"),
    ],
)
def test_another_sweep_or_machine_is_not_resumed(bench, swept_here, flags, change, words):
    data = json.loads(swept_here.read_text())
    data["environment"] |= change
    swept_here.write_text(json.dumps(data))
    before = swept_here.read_bytes()
    assert words in bench.refusal(2, "sweep", "--resume", str(swept_here), *flags)
    assert swept_here.read_bytes() == before


def test_dry_run_of_a_sweep_to_resume_shows_what_was_measured(bench, tmp_path):
    run_fake(bench, "--batch_sizes", "1", "--prompt_tokens", "10", "--max_tokens", "100", "-r", "2")
    done = bench("sweep", "--resume", str(sweep_path(tmp_path)), "--dry_run")
    assert done.returncode == 0, done.stderr
    total = 2 * (10 * 1e-4 + 0.011) + 2 * (10 * 1e-4 + 100 * 0.011)
    assert f"{total:.1f} s" in done.stdout
    assert "complete" in done.stdout
