"""`bench.sh sweep`: the product, its arithmetic, failures, resuming, and batches of the real SmolLM2."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from argparse import Namespace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import scipy.stats
from builders import ENVIRONMENT
from support import unwrapped

from bench_deepspeed.benchmarks.sweep import answers, batches, charts, command, derived, matrix, metrics, plan
from bench_deepspeed.benchmarks.sweep import view as report
from bench_deepspeed.benchmarks.sweep.records import BatchCheck, CellQuality, SweepScenario, SweepSettings
from bench_deepspeed.core.errors import BenchError, ImpossibleError, MachineError, QualityError
from bench_deepspeed.measure.records import Environment, Limits, Memory, Sample, Scenario
from bench_deepspeed.model import arithmetic, catalog
from bench_deepspeed.results import documents

LIMITS = Limits(3e12, 2.9e12, 6e14, "float16", 50_000_000)
SETTINGS = SweepSettings("llama", "cuda", "pretrained", 0, ["mii"], ["float16"], [1, 4], [128], [17], 2, 1)


def measured(scenario: SweepScenario, prefill: tuple[float, ...], total: tuple[float, ...]) -> SweepScenario:
    """The scenario with these seconds."""
    scenario.status, scenario.warmups = "complete", 1
    scenario.prefill = [Sample(seconds, scenario.prompt_tokens, 1) for seconds in prefill]
    scenario.total = [Sample(seconds, scenario.prompt_tokens, scenario.max_tokens) for seconds in total]
    return scenario


def test_another_model_digest_is_not_resumed():
    with pytest.raises(BenchError, match="the model's digest was aa and is bb now"):
        plan.require_same({"digest": "aa"}, {"digest": "bb"}, "the model's")


def test_memory_is_counted_before_anything_loads():
    """Llama 2's KV cache takes half a MiB a token: 64 sequences of 2,176 do not fit next to the weights in 80 GB."""
    spec, token = catalog.load("llama"), 2 * 32 * 4096 * 2
    small = SweepScenario("mii", "float16", 32, 2048, 128)
    large = SweepScenario("mii", "float16", 64, 2048, 128)
    assert plan.kv_bytes(spec, small, "cuda") == (32 * 34 + 1) * 64 * token
    assert plan.refusal(spec, SETTINGS, small, 80 * 10**9) is None
    reason = plan.refusal(spec, SETTINGS, large, 80 * 10**9)
    kv = (64 * 34 + 1) * 64 * token
    total = kv + 2 * 6_738_415_616 + 10**9
    assert f"weights 13.48 GB + KV cache {kv / 1e9:.2f} GB (64 × 2176 tokens) + 1.00 GB" in reason
    assert f"= {total / 1e9:.2f} GB, and 80.00 GB are free" in reason
    assert plan.refusal(spec, SETTINGS, large, total) is None
    assert plan.refusal(spec, SETTINGS, large, total - 1) is not None


def test_a_step_reads_the_weights_once_and_every_context():
    spec, one = catalog.load("llama"), SweepScenario("mii", "float16", 1, 128, 17)
    many = SweepScenario("mii", "float16", 8, 128, 17)
    context = 128 + 15 / 2  # of the 16 steps after the first token
    kv = 2 * 2 * 32 * 4096 * context
    weights = 2 * (6_738_415_616 - 32000 * 4096)
    assert derived.step(spec, one, "cuda").bytes == pytest.approx(weights + kv)
    assert derived.step(spec, many, "cuda").bytes == pytest.approx(weights + 8 * kv)
    assert derived.step(spec, many, "cuda").flops == 8 * arithmetic.decode_flops(spec)
    assert derived.decode_limit(spec, many, "cuda", LIMITS) == pytest.approx(8 * 3e12 / (weights + 8 * kv))
    slow = Limits(1e18, 1e18, 1e12, "float16")
    assert derived.decode_limit(spec, many, "cuda", slow) == pytest.approx(1e12 / arithmetic.decode_flops(spec))


def test_the_interval_of_one_process_is_over_its_rounds():
    """Student's, by SciPy, of each round's total - prefill; of the logarithm of the speed by the delta method."""
    scenario = measured(SweepScenario("mii", "float16", 4, 128, 11), (1.0, 1.1, 1.0), (3.0, 3.2, 3.1))
    seconds = numpy.array([2.0, 2.1, 2.1])
    low, high = scipy.stats.t.interval(0.95, 2, seconds.mean(), scipy.stats.sem(seconds))
    rate = derived.decode_rate(scenario)
    assert (rate.value, rate.n, rate.units) == (pytest.approx(4 * 10 / seconds.mean()), 3, "rounds of one process")
    assert rate.relative == pytest.approx((high - low) / 2 / seconds.mean())
    assert rate.bounds == pytest.approx((rate.value * math.exp(-rate.relative), rate.value * math.exp(rate.relative)))


def test_the_interval_of_several_processes_is_over_their_means():
    scenario = measured(SweepScenario("mii", "float16", 4, 128, 11), (0.1,) * 5, (3.0, 3.1, 3.3, 3.3, 3.6))
    scenario.rounds = [2, 2, 1]
    means = numpy.array([2.95, 3.2, 3.5])
    rate = derived.decode_rate(scenario)
    assert (rate.value, rate.n, rate.units) == (pytest.approx(4 * 10 / means.mean()), 3, "processes")
    low, high = scipy.stats.t.interval(0.95, 2, means.mean(), scipy.stats.sem(means))
    assert rate.relative == pytest.approx((high - low) / 2 / means.mean())
    total = derived.overall_tokens_per_s(scenario)
    assert (total.value, total.n) == (pytest.approx(4 * 11 / (means + 0.1).mean()), 3)
    assert derived.prefill_s(scenario).relative == 0.0


def test_one_round_has_no_interval():
    rate = derived.decode_rate(measured(SweepScenario("mii", "float16", 4, 128, 11), (1.0,), (3.0,)))
    assert (rate.relative, rate.bounds, rate.n) == (None, None, 1)


def test_few_processes_and_wide_intervals_are_warned_of():
    def codes(rounds: list[int], *totals: float) -> list[str]:
        scenario = measured(SweepScenario("mii", "float16", 4, 128, 11), (0.1,) * len(totals), totals)
        scenario.rounds, scenario.check = rounds, BatchCheck(11, 0.0, [0], [[1] * 11], [0.0])
        return metrics.warnings_of(metrics.ScenarioRow(plan.new_result(SETTINGS), scenario))

    assert codes([], 3.0, 3.0) == ["few_samples"]
    assert codes([], *(3.0, 3.001) * 50) == ["few_samples"]  # of rounds in one process, however many
    assert codes([1, 1, 1], 3.0, 3.0, 3.0) == []
    assert codes([1, 1, 1], 3.0, 3.0, 3.3) == ["wide_interval"]


@pytest.mark.parametrize(("engine", "codes"), [("mii", ["not_checked"]), ("fake", [])])
def test_a_batch_whose_answers_were_not_checked_is_warned_of(engine, codes):
    """The fake engine computes no answers that could be checked."""
    scenario = measured(SweepScenario(engine, "float16", 4, 128, 11), (0.1,) * 3, (3.0,) * 3)
    scenario.rounds = [1, 1, 1]
    assert metrics.warnings_of(metrics.ScenarioRow(plan.new_result(SETTINGS), scenario)) == codes


def test_processes_of_engines_and_precisions_alternate_in_a_drawn_order():
    engines, precisions = ["mii", "transformers", "deepspeed"], ["float16", "bfloat16"]
    settings = dataclasses.replace(SETTINGS, engines=engines, precisions=precisions, processes=4)

    def turns(seed: int) -> list[list[tuple[str, str]]]:
        order = plan.order_of(dataclasses.replace(settings, seed=seed))
        assert [visit.process for visit in order] == [n for n in (1, 2, 3, 4) for _ in range(6)]
        return [[(v.engine, v.precision) for v in order if v.process == n] for n in (1, 2, 3, 4)]

    for first, second, third, fourth in map(turns, range(5)):
        assert set(first) == set(third) == {(e, p) for e in engines for p in precisions}
        assert (second, fourth) == (first[::-1], third[::-1])
    assert turns(0) == turns(0)
    assert len({str(turns(seed)) for seed in range(20)}) == 20
    firsts = [turns(seed)[0][0] for seed in range(600)]
    assert all(60 < firsts.count(load) < 140 for load in set(turns(0)[0]))  # 100 ± 9: fair draws


def test_a_steady_drift_falls_on_all_engines_alike():
    """Each visit takes a unit of time, and the machine is slower by as much in each."""
    settings = dataclasses.replace(SETTINGS, engines=["mii", "transformers"], processes=4)
    slowed: dict[str, int] = {"mii": 0, "transformers": 0}
    for now, visit in enumerate(plan.order_of(settings)):
        slowed[visit.engine] += now
    assert slowed["mii"] == slowed["transformers"]


def test_a_sweep_goes_on_where_a_process_was_interrupted(tmp_path):
    """The second of three processes measures in the reverse of the plan, and had measured one scenario."""
    sweep = plan.new_result(dataclasses.replace(SETTINGS, processes=3))
    for scenario, rounds in zip(sweep.scenarios, ([2], [2, 2]), strict=True):
        measured(scenario, (0.1,) * sum(rounds), (0.5,) * sum(rounds))
        scenario.status, scenario.rounds = "pending", rounds
    sweep.save(tmp_path / "sweep.json")
    found = plan.resumed(tmp_path / "sweep.json")
    assert found.order == sweep.order
    first, second = found.scenarios
    assert [plan.to_measure(found, visit) for visit in found.order] == [[], [first], [first, second]]
    first.rounds.append(2)
    assert plan.to_measure(found, found.order[1]) == []
    fresh = plan.new_result(dataclasses.replace(SETTINGS, processes=3))
    batches_of = [[s.batch_size for s in plan.to_measure(fresh, visit)] for visit in fresh.order]
    assert batches_of == [[1, 4], [4, 1], [1, 4]]


def test_a_round_that_lacks_a_half_is_no_sweep(tmp_path):
    sweep = plan.new_result(SETTINGS)
    measured(sweep.scenarios[0], (0.1, 0.1), (0.5, 0.5)).rounds = [1]
    sweep.save(tmp_path / "sweep.json")
    with pytest.raises(BenchError, match="a round lacks a half"):
        plan.resumed(tmp_path / "sweep.json")


@pytest.mark.parametrize(
    ("prefill", "total"),
    [
        pytest.param((1.0, 1.0), (0.9, 0.9), id="not above zero"),
        pytest.param((1.0, 1.2), (1.3, 1.4), id="uncertain"),
    ],
)
def test_what_cannot_be_distinguished_is_not_measured(prefill, total):
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
    derived.check_possible(spec, possible, "cuda", LIMITS)
    with pytest.raises(ImpossibleError, match=words):
        derived.check_possible(spec, measured(possible, prefill, total), "cuda", LIMITS)


def test_prompts_are_exact_repeatable_and_share_no_beginning():
    rows = batches.prompts(list(range(100, 400)), 64, 5, seed=3)
    assert rows == batches.prompts(list(range(100, 400)), 64, 5, seed=3)
    assert rows != batches.prompts(list(range(100, 400)), 64, 5, seed=4)
    assert {len(row) for row in rows} == {5}
    assert len({row[0] for row in rows}) == 64
    assert {token for row in rows for token in row} <= set(range(100, 400))
    with pytest.raises(BenchError, match="a batch of 4 needs"):
        batches.prompts([1, 2, 3], 4, 5, seed=0)


def published(folder: Path, **changes) -> tuple[Path, Path]:
    """A page with a block of sweeps, and a complete sweep as its evidence."""
    page, evidence = folder / "docs" / "page.md", folder / "docs" / "results" / "sweeps" / "one.json"
    evidence.parent.mkdir(parents=True)
    page.write_text("# Page\n\n<!-- sweep: llama -->\n<!-- /sweep -->\n")
    sweep = plan.new_result(SETTINGS)
    for scenario in sweep.scenarios:
        measured(scenario, (0.1, 0.1), (0.5, 0.5))
    sweep.environment = ENVIRONMENT
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
    assert f"{4 * 16 / 0.4:,.1f} ± 0.0%" in text
    assert "n: 1 process × 2 rounds" in text
    assert "few_samples" in text
    figure = page.parent / "figures" / "one-throughput.svg"
    assert f"one.json sha256:{hashlib.sha256(evidence.read_bytes()).hexdigest()}" in figure.read_text()
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


CHECKED = SweepSettings(**{**vars(SETTINGS), "quality": True})
UNPUBLISHED = {
    "unmeasured": {"status": "interrupted", "settings": CHECKED, "scenarios": plan.scenarios_of(SETTINGS)},
    "no checks": {"status": "interrupted"},
    "failed": {"status": "failed"},
    "failed once": {
        "status": "interrupted",
        "settings": CHECKED,
        "scenarios": [
            dataclasses.replace(scenario, status=status)
            for scenario, status in zip(plan.scenarios_of(SETTINGS), ("complete", "failed"), strict=True)
        ],
    },
    "fake": {"settings": SweepSettings(**{**vars(SETTINGS), "engines": ["fake"]})},
}


@pytest.mark.parametrize("changes", UNPUBLISHED.values(), ids=UNPUBLISHED)
def test_what_measures_nothing_is_not_published(tmp_path, changes):
    page, _ = published(tmp_path, **changes)
    with pytest.raises(BenchError, match="cannot be published"):
        render(page)


def test_a_sweep_that_lacks_checks_alone_is_published_and_says_so(tmp_path):
    page, _ = published(tmp_path, status="interrupted", settings=CHECKED)
    assert "Interrupted: not everything that was requested is here" in render(page)


def test_a_sweep_that_goes_on_names_its_first_command_and_each_commit():
    first = Environment(commit="aa+changes", source="s1", command="bench.sh sweep -n llama", cpu="one")
    again = first.resumed(Environment(commit="bb", source="s2", command="bench.sh sweep --resume here", cpu="one"))
    assert (again.commit, again.command) == ("aa+changes, bb", "bench.sh sweep -n llama")
    assert again.source == "s1, s2"  # which also separates two states of one commit with changes
    assert again.resumed(Environment(commit="aa+changes", source="s1")) == again
    assert Environment().resumed(first) == first


def test_lines_of_a_figure_leave_out_what_failed():
    sweep = plan.new_result(SweepSettings(**{**vars(SETTINGS), "batch_sizes": [1, 2, 4]}))
    for scenario in sweep.scenarios[:2]:
        measured(scenario, (0.1, 0.1), (0.5, 0.5))
    sweep.scenarios[2].status, sweep.scenarios[2].reason = "failed", "out of memory"
    (series,) = charts.drawn(sweep)["throughput"].series
    assert [point.x for point in series.points] == [1, 2]
    assert report.reasons(sweep) == ["failed: mii float16, batch 4: 128 + 17 tokens: out of memory"]


def test_what_is_no_sweep_is_one_line(bench, tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    assert "is not a sweep of this suite" in bench.refusal(2, "sweep", "--resume", str(tmp_path))


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
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| deepspeed", "| transformers"))]
    assert len(rows) == 8
    assert sum("refused" in row for row in rows) == 5
    assert sum("not known" in row for row in rows) == 3
    assert max(map(len, rows)) <= 80
    reasons = unwrapped(done.stdout)
    assert reasons.count("deepspeed does not run in float16 on cpu") == 1
    assert reasons.count("for all else = ") == 3  # a hundred thousand contexts fit no machine
    assert list(tmp_path.iterdir()) == []


def test_a_product_of_too_many_scenarios_is_refused(bench):
    flags = ("--batch_sizes", "1-100+1", "--prompt_tokens", "1-100+1", "--max_tokens", "1-2+1")
    error = bench.refusal(2, "sweep", "-d", "cpu", "--engines", "fake", *flags)
    assert error == "these are 20,000 scenarios: at most 10,000 in one sweep"


PRECISIONS = ["float32", "float16", "int8", "fp6"]


def matrix_of(**changes) -> list[dict[str, str]]:
    """The rows of the matrix of a sweep of two engines that ran all they can, with what checks found."""
    engines = ["mii", "deepspeed"]
    settings = dataclasses.replace(SETTINGS, engines=engines, precisions=PRECISIONS, batch_sizes=[4], **changes)
    sweep = plan.new_result(settings)
    for scenario in sweep.scenarios:
        reason = plan.refusal(catalog.load("llama"), settings, scenario, None)
        if reason:
            scenario.status, scenario.reason = "refused", reason
        else:
            measured(scenario, (0.1, 0.1), (0.5, 0.5)).memory = Memory(
                weights_bytes=7 * 10**9, device_peak_bytes=10**10
            )
    found = (True, "within the noise floor", "transformers", 0.004, 0.003, 0.99, "aa")
    sweep.quality = [CellQuality("mii", "float16", *found)]
    _title, table, *notes, _legend = matrix.tables(sweep)
    return [*table.rows, dict(text.text[1:].split(") ", 1) for text in notes)]


def test_the_matrix_has_a_figure_or_a_reason_in_every_cell():
    mii, deepspeed, notes = matrix_of()
    assert list(mii) == ["engine", *PRECISIONS]
    assert mii["float32"] == "refused (1)"
    assert notes["1"] == "MII 0.3.3 takes float16 and bfloat16 alone (llama_v2/model.py)"
    assert mii["int8"] == "refused (2)"
    assert mii["float16"] == (
        f"{4 * 16 / 0.4:,.1f} [160.0, 160.0]; weights 7.00 GB, peak 10.00 GB; KL 0.004 [0.003], within the noise floor"
    )
    assert mii["fp6"] == "refused (3)"
    assert notes["3"].startswith("DeepSpeed 0.19.8 compiles its 6-bit kernel for compute capability 8.x alone")
    assert deepspeed["int8"].endswith("; answers not checked")
    assert deepspeed["fp6"] == "refused (4)"
    assert "does not compile with CUDA 13" in notes["4"]


def test_a_sweep_of_one_precision_has_no_matrix():
    assert matrix.tables(plan.new_result(SETTINGS)) == []


def test_a_reason_of_a_whole_cell_is_one_line():
    settings = dataclasses.replace(SETTINGS, precisions=["float16", "int8"])
    ends = [(s, "refused", "why" if s.precision == "int8" else None) for s in plan.scenarios_of(settings)]
    assert plan.reason_lines(ends) == ["refused: mii int8: why"]
    assert plan.reason_lines([(ends[0][0], "failed", "x"), ends[1]]) == [f"failed: {ends[0][0].title()}: x"]


def test_packed_weights_are_held_against_limits_of_their_products():
    """DeepSpeed's int8 and float16 multiply in float16, torchao's int8 in bfloat16: each has the limits of that."""
    settings = dataclasses.replace(SETTINGS, engines=["deepspeed", "transformers"], precisions=["float16", "int8"])
    assert plan.computes(settings) == ["float16", "bfloat16"]
    sweep = plan.new_result(settings)
    sweep.limits = {name: dataclasses.replace(LIMITS, precision=name) for name in plan.computes(settings)}
    by_cell = {(s.engine, s.precision): s for s in sweep.scenarios}
    found = {key: derived.limits_of(sweep, scenario).precision for key, scenario in by_cell.items()}
    assert found["deepspeed", "int8"] == found["transformers", "float16"] == "float16"
    assert found["transformers", "int8"] == "bfloat16"
    packed, plain = (
        derived.step(catalog.load("llama"), by_cell["deepspeed", p], "cuda").bytes for p in ("int8", "float16")
    )
    assert 0.5 < packed / plain < 0.6


@pytest.mark.parametrize("flags", [("--weights", "random"), ("--engines", "fake")])
def test_answers_that_cannot_be_checked_are_refused_before_a_sweep(bench, flags):
    assert "nothing to check" in bench.refusal(2, "sweep", "-d", "cpu", "--quality", *flags)


def test_a_gate_of_quality_fails_where_answers_are_outside_or_were_not_checked():
    def gate(ok: bool | None, unchecked: list[str]) -> None:
        result = plan.new_result(SETTINGS)
        result.quality.append(CellQuality("mii", "float16", ok, "words", "transformers", 0.1, 0.1, 1.0, "0" * 64))
        command._require_quality(result, unchecked)

    gate(True, [])
    gate(None, [])  # nothing else runs the precision: there is no floor to be outside of
    with pytest.raises(QualityError, match="outside the noise floor: mii float16"):
        gate(False, ["transformers int8"])
    with pytest.raises(BenchError, match="not checked, as reported above: transformers int8"):
        gate(True, ["transformers int8"])


def test_a_check_of_answers_that_fails_is_noted_and_the_others_go_on(tmp_path, monkeypatch):
    result = plan.new_result(dataclasses.replace(SETTINGS, engines=["mii", "transformers"], quality=True))
    for scenario in result.scenarios:
        scenario.status = "complete"
    early = SimpleNamespace(early=SimpleNamespace(mean_kl=0.1, top1_disagreement=0.0))
    verdict = {"ok": True, "words": "words"}
    row = SimpleNamespace(verdict=verdict, candidate={"baseline": "transformers"}, engine=early, floor=early)

    def checked(scenario: Scenario, place: Path) -> tuple[SimpleNamespace, str]:
        assert place.name == f"quality-{scenario.engine}-float16"
        if scenario.engine == "mii":
            raise MachineError("the disk is full")
        return row, "0" * 64

    monkeypatch.setattr(answers, "cell_checks", lambda *_: checked)
    log: list[str] = []
    recorder = SimpleNamespace(result=result, write_log=log.append, save=lambda: None, folder=tmp_path)
    recorder.scratch = partial(contextlib.nullcontext, tmp_path)
    assert answers.check(recorder, None) == ["mii float16"]
    found = CellQuality("transformers", "float16", True, "words", "transformers", 0.1, 0.1, 1.0, "0" * 64)
    assert result.quality == [found]
    assert log == ["the answers of mii in float16 were not checked: the disk is full"]
    monkeypatch.setattr(answers, "cell_checks", lambda *_: lambda *_: pytest.fail("checked, and checked again"))
    result.scenarios = [scenario for scenario in result.scenarios if scenario.engine == "transformers"]
    assert answers.check(recorder, None) == []


def test_answers_are_checked_precision_by_precision():
    """The baseline of one is computed once, and its logits, which are large, are kept for one precision only."""
    result = plan.new_result(
        dataclasses.replace(SETTINGS, engines=["mii", "deepspeed"], precisions=["float16", "bfloat16"])
    )
    for scenario in result.scenarios:
        scenario.status = "complete"
    result.quality.append(CellQuality("mii", "float16", True, "words", "transformers", 0.1, 0.1, 1.0, "0" * 64))
    pending = [("mii", "bfloat16", 1), ("deepspeed", "bfloat16", 1), ("deepspeed", "float16", 1)]
    assert answers._pending(result) == pending


def test_each_warning_of_a_sweep_has_a_meaning_and_a_remedy():
    assert all(meaning and remedy for meaning, remedy in report.MEANINGS.values())
    assert set(metrics.MACHINE) < set(report.MEANINGS)


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (["a"], "a"),
        (["a", "b"], "a; b"),
        (["a", "b", "d"], "all 4 scenarios but c"),
        (["a", "b", "c", "d"], "all 4 scenarios"),
    ],
)
def test_a_warning_of_most_scenarios_names_the_others(some, words):
    assert report._which(some, ["a", "b", "c", "d"]) == words
