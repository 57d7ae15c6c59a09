"""`bench.sh sweep`: the product, its arithmetic, failures, resuming, and batches of the real SmolLM2."""

from __future__ import annotations

import json
import math
import signal
from argparse import Namespace
from pathlib import Path

import pytest
from deepspeed.inference.v2.ragged.manager_configs import DSStateManagerConfig
from support import error_of, no_progress, wait_until

from bench_deepspeed.benchmarks.sweep import batches, charts, derived, plan
from bench_deepspeed.benchmarks.sweep import view as report
from bench_deepspeed.benchmarks.sweep.records import SweepResult, SweepScenario, SweepSettings
from bench_deepspeed.core.errors import BenchError, ImpossibleError
from bench_deepspeed.engines import engine_class, mii
from bench_deepspeed.engines.base import Load
from bench_deepspeed.engines.transformers import TransformersEngine
from bench_deepspeed.measure.records import Limits, Sample
from bench_deepspeed.model import arithmetic, catalog
from bench_deepspeed.report import svg
from bench_deepspeed.results import documents

FAKE = ("sweep", "-d", "cpu", "--engines", "fake", "--output_dir", "out")
COST = {"step": 0.01, "token": 0.001, "prompt_token": 0.0001}
LIMITS = Limits(3e12, 2.9e12, 6e14, "float16", 50_000_000)
SETTINGS = SweepSettings("llama", "cuda", "pretrained", 0, ["mii"], ["float16"], [1, 4], [128], [17], 2, 1)


def sweep_path(folder: Path) -> Path | None:
    return next(folder.glob("out/*/*/sweep.json"), None)


def sweep_of(folder: Path) -> SweepResult:
    """The only sweep below `out`."""
    (path,) = folder.glob("out/*/*/sweep.json")
    return SweepResult.load(path)


def run_fake(bench, *arguments: str, behaviour: dict | None = None, program=FAKE):
    """A sweep of the fake engine, on a clock of its own unless told else."""
    asked = json.dumps({"virtual": True, "cost": COST, **(behaviour or {})})
    return bench(*program, *arguments, env={"BENCH_FAKE": asked})


def statuses(sweep: SweepResult) -> dict[int, str]:
    return {scenario.batch_size: scenario.status for scenario in sweep.scenarios}


def titles(stdout: str) -> list[str]:
    """The columns of the printed table."""
    line = next(line for line in stdout.splitlines() if line.startswith("|"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def measured(scenario: SweepScenario, prefill: tuple[float, ...], total: tuple[float, ...]) -> SweepScenario:
    """The scenario with these seconds."""
    scenario.status, scenario.warmups = "complete", 1
    scenario.prefill = [Sample(seconds, scenario.prompt_tokens, 1) for seconds in prefill]
    scenario.total = [Sample(seconds, scenario.prompt_tokens, scenario.max_tokens) for seconds in total]
    return scenario


def test_the_product_is_measured_and_its_figures_are_the_cost(bench, tmp_path):
    done = run_fake(bench, "--batch_sizes", "1-4*2", "--prompt_tokens", "10,20", "--max_tokens", "5", "-r", "3")
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    assert (sweep.status, len(sweep.scenarios), len(sweep.loads)) == ("complete", 6, 1)
    for scenario in sweep.scenarios:
        size, prompt = scenario.batch_size, scenario.prompt_tokens
        step = 0.01 + size * 0.001
        assert [sample.seconds for sample in scenario.prefill] == pytest.approx(3 * [size * prompt * 1e-4 + step])
        assert derived.decode_rate(scenario).tokens_per_s == pytest.approx(size / step)
        assert derived.overall_tokens_per_s(scenario) == pytest.approx(size * 5 / (size * prompt * 1e-4 + 5 * step))
    assert [scenario.warmups for scenario in sweep.scenarios] == [3, 1, 1, 1, 1, 1]


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
    assert titles(done.stdout) == [*varies, "prefill", "decode tokens/s", "tokens/s", "warnings"]
    constants = done.stdout.splitlines()[0]
    for title, value in {"batch": "2", "prompt": "8", "new tokens": "4"}.items():
        assert (f"; {title}: {value}" in constants) == (title not in varies)


def test_figures_only_of_what_varies(bench, tmp_path):
    run_fake(bench, "--batch_sizes", "1,2", "--prompt_tokens", "8")
    folder = sweep_path(tmp_path).parent
    assert sorted(path.name for path in folder.glob("*.[ps][nv]g")) == ["throughput.png", "throughput.svg"]


def test_one_token_has_no_decoding(bench):
    done = run_fake(bench, "--batch_sizes", "1,2", "--prompt_tokens", "8", "--max_tokens", "1")
    assert done.returncode == 0, done.stderr
    assert titles(done.stdout) == ["batch", "prefill", "tokens/s", "warnings"]


def test_what_fails_is_recorded_and_the_sweep_goes_on(bench, tmp_path):
    fates = {"at_batch": {"2": "fail", "4": "die", "8": "short"}}
    done = run_fake(bench, "--batch_sizes", "1-16*2", "--prompt_tokens", "8", behaviour=fates)
    assert done.returncode == 1
    assert error_of(done.stderr) == "3 of 5 scenarios failed, as told above"
    sweep = sweep_of(tmp_path)
    assert statuses(sweep) == {1: "complete", 2: "failed", 4: "failed", 8: "failed", 16: "complete"}
    reasons = [scenario.reason for scenario in sweep.scenarios if scenario.reason]
    for reason, words in zip(reasons, ("failed, as asked", "was killed", "void: sequence 1 of 8"), strict=True):
        assert words in reason
        assert str(tmp_path) not in reason
        assert reason in done.stdout
    assert len(sweep.loads) == 4  # a fresh worker after each
    assert bench.processes() == []


def test_what_cannot_fit_the_context_is_refused_with_the_arithmetic(bench, tmp_path):
    done = run_fake(bench, "--batch_sizes", "1", "--prompt_tokens", "8,8190")
    assert done.returncode == 0, done.stderr
    assert [scenario.status for scenario in sweep_of(tmp_path).scenarios] == ["complete", "refused"]
    assert "8190 + 16 tokens: these are 8206 in all, and the model's context is 8192" in done.stdout


def test_what_is_beyond_the_limits_is_no_speed(bench, tmp_path):
    lies = {"lies": True, "cost": {"step": 1e-6, "prompt_token": 1e-3}}
    done = run_fake(bench, "--batch_sizes", "1,2", "--prompt_tokens", "8", behaviour=lies)
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
    assert bench.processes() == []
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


def test_resuming_what_is_complete_loads_nothing(bench, tmp_path):
    run_fake(bench, "--batch_sizes", "1", "--prompt_tokens", "8")
    before = sweep_of(tmp_path)
    done = run_fake(bench, "--resume", str(sweep_path(tmp_path)), program=("sweep", "-d", "cpu"))
    assert done.returncode == 0, done.stderr
    assert (sweep_of(tmp_path).scenarios, sweep_of(tmp_path).loads) == (before.scenarios, before.loads)


@pytest.mark.parametrize(
    ("flags", "change", "words"),
    [
        (("--batch_sizes", "1,3"), {}, "batch_sizes 1,2, not 1,3"),
        (("-r", "9"), {}, "repetitions 2, not 9"),
        (("-n", "llama"), {}, "model smollm2, not llama"),
        ((), {"cpu": "Another CPU"}, "the environment's cpu was Another CPU"),
        ((), {"packages": {"torch": "1.0"}}, "the environment's packages was torch 1.0"),
    ],
)
def test_another_sweep_or_machine_is_not_resumed(bench, tmp_path, flags, change, words):
    run_fake(bench, "--batch_sizes", "1,2", "--prompt_tokens", "8")
    path = sweep_path(tmp_path)
    data = json.loads(path.read_text())
    data["environment"] |= change
    path.write_text(json.dumps(data))
    assert words in bench.refusal(2, "sweep", "--resume", str(path), *flags)


def test_another_model_digest_is_not_resumed():
    with pytest.raises(BenchError, match="the model's digest was aa and is bb now"):
        plan.require_same({"digest": "aa"}, {"digest": "bb"}, "the model's")


def test_what_is_no_sweep_is_one_line(bench, tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    assert "is not a sweep of this suite" in bench.refusal(1, "sweep", "--resume", str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--batch_sizes", "1-9"), "'1-9' is neither a whole number nor a range; give values and ranges"),
        (("--engines", "vllm"), "'vllm' is none of mii, deepspeed, transformers, transformers_compiled, fake"),
        (("--engines", "mii"), "--engines mii does not run on cpu"),
        (("-d", "metal"), "metal is not supported"),
        (("--warmups", "0"), "at least 1"),
    ],
)
def test_nonsense_is_one_line(bench, flags, words):
    assert words in bench.refusal(2, "sweep", "-d", "cpu", *flags)


def test_dry_run_lists_and_touches_nothing(bench, tmp_path):
    flags = ("--engines", "deepspeed,transformers", "--precisions", "float32,float16", "--batch_sizes", "1,100000")
    done = bench("sweep", "-d", "cpu", "--dry_run", *flags, "--prompt_tokens", "8000", "--max_tokens", "100")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("deepspeed", "transformers"))]
    assert len(rows) == 8
    assert sum("does not run in float16 on cpu" in row for row in rows) == 4
    assert sum("for all else = " in row for row in rows) == 2  # a hundred thousand contexts fit no machine
    assert sum("not known" in row for row in rows) == 2
    assert list(tmp_path.iterdir()) == []


def test_dry_run_of_a_sweep_to_resume_tells_what_was_measured(bench, tmp_path):
    run_fake(bench, "--batch_sizes", "1", "--prompt_tokens", "10", "--max_tokens", "100", "-r", "2")
    done = bench("sweep", "--resume", str(sweep_path(tmp_path)), "--dry_run")
    assert done.returncode == 0, done.stderr
    total = 2 * (10 * 1e-4 + 0.011) + 2 * (10 * 1e-4 + 100 * 0.011)
    assert f"{total:.1f} s" in done.stdout
    assert "complete" in done.stdout


def test_memory_is_counted_before_anything_loads():
    """Llama 2's KV cache takes half a MiB a token: 64 sequences of 2,176 do not fit beside the weights in 80 GB."""
    spec, token = catalog.load("llama"), 2 * 32 * 4096 * 2
    small = SweepScenario("mii", "float16", 32, 2048, 128)
    large = SweepScenario("mii", "float16", 64, 2048, 128)
    assert plan.kv_bytes(spec, small) == (32 * 34 + 1) * 64 * token
    assert plan.refusal(spec, SETTINGS, small, 80 * 10**9) is None
    reason = plan.refusal(spec, SETTINGS, large, 80 * 10**9)
    kv = (64 * 34 + 1) * 64 * token
    total = kv + 2 * 6_738_415_616 + 10**9
    assert f"weights 13.48 GB + KV cache {kv / 1e9:.2f} GB (64 × 2176 tokens) + 1.00 GB" in reason
    assert f"= {total / 1e9:.2f} GB, and 80.00 GB are free" in reason
    assert plan.refusal(spec, SETTINGS, large, total) is None
    assert plan.refusal(spec, SETTINGS, large, total - 1) is not None


def test_mii_takes_whole_blocks_and_repeated_heads():
    """SmolLM2's three KV heads become nine, and its blocks hold 128 tokens; Transformers takes what there is."""
    spec = catalog.load("smollm2")
    assert engine_class("mii").kv_bytes(spec, "float16", 2, 129) == (2 * 2 + 1) * 128 * 2 * 30 * 9 * 64 * 2
    assert engine_class("transformers").kv_bytes(spec, "float16", 2, 129) == 2 * 129 * 2 * 30 * 3 * 64 * 2


@pytest.mark.parametrize(
    ("sequences", "expected"), [(256, (2048, 512, 768)), (600, (2048, 600, 768)), (3000, 3 * (3000,))]
)
def test_deepspeed_takes_the_settings_for_many_sequences(sequences, expected):
    config = DSStateManagerConfig(**mii.state_manager(99, sequences))
    names = ("max_tracked_sequences", "max_ragged_sequence_count", "max_ragged_batch_size")
    assert tuple(getattr(config, name) for name in names) == expected
    assert (config.memory_config.mode, config.memory_config.size) == ("allocate", 99)
    assert {name: getattr(DSStateManagerConfig(), name) for name in names} == mii.AT_ONCE


def test_a_step_reads_the_weights_once_and_every_context():
    spec, one = catalog.load("llama"), SweepScenario("mii", "float16", 1, 128, 17)
    many = SweepScenario("mii", "float16", 8, 128, 17)
    context = 128 + 15 / 2  # of the 16 steps after the first token
    kv = 2 * 2 * 32 * 4096 * context
    weights = 2 * (6_738_415_616 - 32000 * 4096)
    assert derived.step(spec, one).bytes == pytest.approx(weights + kv)
    assert derived.step(spec, many).bytes == pytest.approx(weights + 8 * kv)
    assert derived.step(spec, many).flops == 8 * arithmetic.decode_flops(spec)
    assert derived.decode_limit(spec, many, LIMITS) == pytest.approx(8 * 3e12 / (weights + 8 * kv))
    slow = Limits(1e18, 1e18, 1e12, "float16")
    assert derived.decode_limit(spec, many, slow) == pytest.approx(1e12 / arithmetic.decode_flops(spec))


def test_the_error_of_the_difference():
    scenario = measured(SweepScenario("mii", "float16", 4, 128, 11), (1.0, 1.1), (3.0, 3.2))
    rate = derived.decode_rate(scenario)
    assert rate.tokens_per_s == pytest.approx(4 * 10 / (3.1 - 1.05))
    assert rate.standard_error / rate.tokens_per_s == pytest.approx(math.sqrt(0.02 / 2 + 0.005 / 2) / 2.05)


@pytest.mark.parametrize(
    ("prefill", "total"),
    [
        pytest.param((1.0, 1.0), (0.9, 0.9), id="not above zero"),
        pytest.param((1.0, 1.2), (1.3, 1.4), id="uncertain"),
    ],
)
def test_what_cannot_be_told_apart_is_not_measured(prefill, total):
    scenario = measured(SweepScenario("mii", "float16", 4, 128, 11), prefill, total)
    assert derived.decode_rate(scenario) is None
    assert derived.overall_tokens_per_s(scenario) is not None


@pytest.mark.parametrize(
    ("prefill", "total", "words"),
    [
        ((0.1, 0.1), (0.11, 0.11), "decoding, batch 4"),
        ((0.1, 0.1), (0.001, 0.5), "a generation, batch 4"),
        ((0.0001, 0.0001), (1.0, 1.0), "prefill: "),
    ],
)
def test_the_gate_holds_each_time_against_the_limits(prefill, total, words):
    spec = catalog.load("llama")
    possible = measured(SweepScenario("mii", "float16", 4, 128, 17), (0.1, 0.1), (0.3, 0.3))
    derived.check_possible(spec, possible, LIMITS)
    with pytest.raises(ImpossibleError, match=words):
        derived.check_possible(spec, measured(possible, prefill, total), LIMITS)


def test_prompts_are_exact_repeatable_and_share_no_beginning():
    rows = batches.prompts(list(range(100, 400)), 64, 5, seed=3)
    assert rows == batches.prompts(list(range(100, 400)), 64, 5, seed=3)
    assert rows != batches.prompts(list(range(100, 400)), 64, 5, seed=4)
    assert {len(row) for row in rows} == {5}
    assert len({row[0] for row in rows}) == 64
    assert {token for row in rows for token in row} <= set(range(100, 400))
    with pytest.raises(BenchError, match="a batch of 4 needs"):
        batches.prompts([1, 2, 3], 4, 5, seed=0)


@pytest.fixture(scope="module")
def smollm2(smollm2_models_dir, tmp_path_factory) -> TransformersEngine:
    """The real SmolLM2 in float32."""
    engine = TransformersEngine()
    folder = smollm2_models_dir / "smollm2" / "pretrained"
    engine.load(Load(folder, "cpu", "float32", tmp_path_factory.mktemp("logs"), [], 40), no_progress)
    return engine


def test_the_vocabulary_has_no_special_tokens(smollm2):
    vocabulary = set(smollm2.vocabulary())
    assert vocabulary.isdisjoint(smollm2.tokenizer.all_special_ids)
    assert len(vocabulary) == len(smollm2.tokenizer) - len(smollm2.tokenizer.added_tokens_decoder)


def test_each_row_of_a_batch_is_what_it_is_alone(smollm2):
    """Greedy, in float32. The texts are compared, which hold every token."""
    rows = batches.prompts(smollm2.vocabulary(), 3, 24, seed=0)
    together = smollm2.generate_batch(rows, 8)
    assert together == [smollm2.generate_batch([row], 8)[0] for row in rows]
    assert len({generation.text for generation in together}) == 3
    assert [(generation.prompt_tokens, generation.new_tokens) for generation in together] == 3 * [(24, 8)]


def test_the_real_model_through_the_command(bench, tmp_path, smollm2_models_dir):
    flags = ("--batch_sizes", "1,2", "--prompt_tokens", "8,16", "--max_tokens", "4", "-r", "1")
    done = bench("sweep", "-d", "cpu", *flags, "--output_dir", "out", "--models_dir", smollm2_models_dir)
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    assert {scenario.status for scenario in sweep.scenarios} == {"complete"}
    assert (len(sweep.model["digest"]), list(sweep.limits)) == (64, ["float32"])
    assert "of the limit" in titles(done.stdout)
    names = {"sweep.json", "performance.log", "worker.log"}
    names |= {f"{name}.{kind}" for name in ("throughput", "prefill") for kind in ("png", "svg")}
    assert {path.name for path in sweep_path(tmp_path).parent.iterdir()} == names


def published(folder: Path, **changes) -> tuple[Path, Path]:
    """A page with a block of sweeps, and a complete sweep as its evidence."""
    page, evidence = folder / "docs" / "page.md", folder / "docs" / "results" / "sweeps" / "one.json"
    evidence.parent.mkdir(parents=True)
    page.write_text("# Page\n\n<!-- sweep: llama -->\n<!-- /sweep -->\n")
    sweep = plan.new(SETTINGS)
    for scenario in sweep.scenarios:
        measured(scenario, (0.1, 0.1), (0.5, 0.5))
    gpu = {"name": "Some GPU", "capability": "9.0", "memory_mib": 81920, "driver": "580.1"}
    cpu = {"cpu": "Some CPU", "cpu_count": 16, "system": "Linux 6.1", "python": "3.12.3"}
    versions = {"suite": "0.1.0", "commit": "c0ffee", "packages": {"torch": "2.13.0"}}
    cuda = {"driver_cuda": "13.2", "torch_cuda": "13.0", "nvcc": "13.1"}
    sweep.environment = {"gpus": [gpu], "gpu_used": "Some GPU", **cpu, **versions, **cuda}
    sweep.status, sweep.started_at = "complete", ["2026-01-02T03:04:05+00:00"]
    for name, value in changes.items():
        setattr(sweep, name, value)
    sweep.save(evidence)
    return page, evidence


def render(page: Path, check: bool = False) -> str:
    assert documents.run(Namespace(check=check), [page], page.parent / "results") == 0
    return page.read_text()


def test_a_published_sweep_is_a_table_and_its_figure(tmp_path):
    page, evidence = published(tmp_path)
    text = render(page)
    assert "Engine: mii; precision: float16" in text or "engine: mii; precision: float16" in text
    assert "[JSON](results/sweeps/one.json)" in text
    assert "![Decode throughput](figures/one-throughput.svg)" in text
    assert f"{4 * 16 / 0.4:,.1f} ± 0.0" in text
    figure = page.parent / "figures" / "one-throughput.svg"
    assert svg.source_of(evidence) in figure.read_text()
    assert render(page, check=True) == text


def test_a_figure_of_other_evidence_is_stale(tmp_path):
    page, evidence = published(tmp_path)
    render(page)
    figure = page.parent / "figures" / "one-throughput.svg"
    evidence.write_text(evidence.read_text() + " ")
    with pytest.raises(BenchError, match=r"one-throughput\.svg: a table or figure differs"):
        render(page, check=True)
    render(page)
    render(page, check=True)
    figure.unlink()
    with pytest.raises(BenchError, match="differs"):
        render(page, check=True)


@pytest.mark.parametrize(
    "changes", [{"status": "interrupted"}, {"settings": SweepSettings(**{**vars(SETTINGS), "engines": ["fake"]})}]
)
def test_what_measures_nothing_is_not_published(tmp_path, changes):
    page, _ = published(tmp_path, **changes)
    with pytest.raises(BenchError, match="cannot be published"):
        render(page)


def test_lines_of_a_figure_leave_out_what_failed():
    sweep = plan.new(SweepSettings(**{**vars(SETTINGS), "batch_sizes": [1, 2, 4]}))
    for scenario in sweep.scenarios[:2]:
        measured(scenario, (0.1, 0.1), (0.5, 0.5))
    sweep.scenarios[2].status, sweep.scenarios[2].reason = "failed", "out of memory"
    (points,) = charts.lines(sweep, "batch_size", charts.decode_tokens_per_s).values()
    assert [scenario.batch_size for scenario, _ in points] == [1, 2]
    assert report.reasons(sweep) == ["failed: mii float16, batch 4: 128 + 17 tokens: out of memory"]
    picture = charts.pictures(sweep)["throughput"]
    assert svg.svg(picture) == svg.svg(picture)
