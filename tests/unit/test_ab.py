"""`bench.sh ab`: order, statistics, verdicts, failures, signals, and two real engines at once."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from argparse import Namespace
from pathlib import Path

import numpy
import pytest
import scipy.special
import scipy.stats
from builders import comparison_of as comparison
from builders import result as published_result
from support import unwrapped

from bench_deepspeed.benchmarks.ab import command, detect, estimate, measure, noise, plan, rounds, warnings
from bench_deepspeed.benchmarks.ab import view as report
from bench_deepspeed.benchmarks.ab.measure import _without_partner
from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.cli import parser
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.errors import BenchError, InconclusiveError, RegressionError, UsageError
from bench_deepspeed.measure import power, regression
from bench_deepspeed.measure.records import EngineDescription, Environment, Limits, Reading, Run, Sample
from bench_deepspeed.report import terminal
from bench_deepspeed.results import documents
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import Pending

SAME = ("--a", "engine=fake", "--b", "engine=fake")
LIMITS = Limits(3e12, 2.9e12, 6e14, "float16", 50_000_000)


# The plan.


def asked(*flags: str) -> tuple[plan.Plan, Namespace]:
    options = parser.parse(["ab", "-d", "cpu", *flags])
    return plan.plan_of(options), options


def test_sides_differ_only_in_what_was_requested():
    found, _ = asked("--a", "engine=deepspeed", "--b", "precision=bfloat16 engine=transformers env.X=1", "-n", "llama")
    a, b = found.sides["A"].scenario, found.sides["B"].scenario
    assert (a.engine, a.precision, b.engine, b.precision) == ("deepspeed", "float32", "transformers", "bfloat16")
    assert {**vars(a), "engine": None, "precision": None} == {**vars(b), "engine": None, "precision": None}
    assert (a.max_tokens, a.repetitions, a.processes, a.model) == (32, 6, 5, "llama")
    assert (found.sides["A"].variables, found.sides["B"].variables) == ({}, {"X": "1"})


def test_a_side_on_several_ranks_takes_its_part_of_each_gpu():
    found, _ = asked("--a", "engine=deepspeed", "--b", "engine=deepspeed tensor_parallel=2", "-n", "llama")
    one, two = (found.sides[side].scenario for side in "AB")
    assert (one.tensor_parallel, two.tensor_parallel) == (1, 2)
    on_gpus = [dataclasses.replace(scenario, device="cuda", precision="float16") for scenario in (one, two)]
    (alone, half), (whole, all_of_it) = (map(plan._parts, sides) for sides in (on_gpus, (one, two)))
    assert [half[name] * 2 for name in ("weights", "KV cache")] == [alone[name] for name in ("weights", "KV cache")]
    assert half["all else"] == alone["all else"]
    assert all_of_it == whole


def test_what_does_not_fit_is_refused_with_the_arithmetic():
    """Two 7B models in float32 are 26.95 GB each; their caches hold 31 prompt bytes and 8 tokens, of 1 MiB each."""
    found, _ = asked("--a", "engine=transformers", "--b", "engine=deepspeed", "-n", "llama", "-m", "8", "-p", 30 * "x")
    needs = 2 * (4 * 6_738_415_616 + 39 * 2 * 32 * 4096 * 4 + 10**9)
    assert plan.refusal(found, needs) is None
    assert plan.refusal(found, None) is None
    refused = plan.refusal(found, needs - 1)
    assert "A: 26.95 GB weights + 40.89 MB KV cache + 1.00 GB all else; B: 26.95 GB" in refused
    assert f"{needs / 1e9:.2f} GB are free on cpu" in refused


def test_the_order_is_balanced_in_blocks_drawn_and_seeded():
    found = [rounds.orders(10, 3, pair) for pair in range(200)]
    for orders in found:
        assert all({*orders[k : k + 2]} == {"AB", "BA"} for k in range(0, 10, 2))
    firsts = sum(orders[k] == "AB" for orders in found for k in range(0, 10, 2))
    assert 420 < firsts < 580  # 1,000 fair draws: 500 ± 5 standard deviations
    assert rounds.orders(10, 3, 1) == found[1]
    assert rounds.orders(3, 3, 1) == found[1][:3]
    assert rounds.orders(10, 4, 1) != found[1] or rounds.orders(10, 4, 2) != found[2]


def test_a_steady_drift_cancels_out_of_two_rounds():
    drift, now = 0.05, 0
    result = comparison(([], []))

    def generate() -> Sample:
        nonlocal now
        now += 1
        return Sample(math.exp(drift * now), 3, 8)

    for order in rounds.orders(6, 0, 1):
        samples = rounds.time_round(order, {"A": generate, "B": generate})
        rounds.keep_round(samples, {"A": result.a.runs[0], "B": result.b.runs[0]})
    (logs,) = estimate.log_ratios(result)
    assert [abs(log) for log in logs] == pytest.approx(6 * [drift])
    assert sum(logs) == pytest.approx(0.0, abs=1e-12)


# The statistics.


def test_the_interval_is_students_over_the_pairs():
    pairs = [([1.0, 1.1, 1.2], [0.9, 0.95, 1.0]), ([2.0, 2.2], [1.9, 2.0]), ([1.0], [0.97])]
    result = comparison(*pairs)
    means = [numpy.mean(numpy.log(numpy.array(a) / numpy.array(b))) for a, b in pairs]
    low, high = scipy.stats.t.interval(0.95, 2, numpy.mean(means), scipy.stats.sem(means))
    found = estimate.ratio(estimate.log_ratios(result))
    assert (found.value, found.low, found.high) == pytest.approx(tuple(numpy.exp([numpy.mean(means), low, high])))
    assert found.n == 3


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (estimate.PairedRatio(1.23, 1.2, 1.26, 5), "B is faster: 1.23 [1.20, 1.26] times A"),
        (estimate.PairedRatio(0.81, 0.79, 0.83, 5), "B is slower: 0.81 [0.79, 0.83] times A"),
        (estimate.PairedRatio(1.004, 1.002, 1.006, 5), "B is faster: 1.004 [1.002, 1.006] times A"),
        (estimate.PairedRatio(1.0253, 1.0012, 1.05, 5), "B is faster: 1.025 [1.001, 1.050] times A"),
        (estimate.PairedRatio(0.97, 0.9432, 0.9996, 5), "B is slower: 0.9700 [0.9432, 0.9996] times A"),
        (
            estimate.PairedRatio(1.01, 0.98, 1.04, 5),
            "no difference shown: B ∕ A is 1.01 [0.98, 1.04], an interval that contains 1",
        ),
        (None, "no verdict: no round is valid"),
    ],
)
def test_sentences(found, words):
    assert estimate.verdict(found) == words


def test_where_the_width_comes_from():
    quiet_rounds = comparison(*[(6 * [1.0], [s, s * 1.001] * 3) for s in (0.9, 1.0, 1.1)])
    noisy_rounds = comparison(*[(6 * [1.0], [0.7, 1.4, 0.8, 1.3, 0.9, 1.1]) for _ in range(3)])
    assert "--processes" in estimate.remedy(estimate.log_spread(estimate.log_ratios(quiet_rounds)))
    assert "--rounds" in estimate.remedy(estimate.log_spread(estimate.log_ratios(noisy_rounds)))
    assert estimate.log_spread(estimate.log_ratios(comparison(([1.0], [1.0])))) is None


def test_compiling_and_building_count_as_loading():
    """Of the last pair: what the first one filled caches with is not needed again."""
    found, _ = asked(*SAME)
    result = comparison(*(3 * [([1.0], [1.0])]))
    result.rounds = 3 * [[]]
    of = measure.PairedMeasurement(Namespace(result=result), found, Path(), None)
    of.scenario = found.sides["A"].scenario
    result.b.runs[0].compile_s = 60.0
    assert of._enough(0.0) is None
    result.b.runs[2].compile_s, result.b.runs[2].kernel_build_s = 15.0, 5.0
    assert of._enough(0.0) == (
        "3 pairs of processes, since loading the last took 21 s: --processes 5 measures the others as well"
    )


class Loaded:
    """A worker whose engine has loaded, and compiled."""

    log_folder = Path()

    def send_load(self, *_) -> Pending:
        return Pending(
            lambda: tasks.Loaded(load_s=1.0, kernel_build_s=None, compile_s=30.0, engine=EngineDescription("fake"))
        )

    def call(self, *_) -> Environment:
        return Environment(python="3.10")


def test_what_a_side_compiled_when_it_was_loaded_is_kept():
    found, _ = asked(*SAME)
    keeper = Namespace(result=comparison(), write_log=lambda text: None)
    runs = {name: Run() for name in "AB"}
    of = measure.PairedMeasurement(keeper, found, Path(), progress_bars.Bars())
    of._load({name: Loaded() for name in "AB"}, runs, {"A": None, "B": None}, "pair 1")
    assert [one.compile_s for one in runs.values()] == [30.0, 30.0]


def test_compile_time_is_shown_with_the_speeds():
    result = comparison(*(2 * [([1.0], [1.0])]))
    assert "compiling" not in terminal.render(report.view(result))
    for process, seconds in zip(result.b.runs, (32.21, 8.5), strict=True):
        process.compile_s = seconds
    text = terminal.render(report.view(result))
    assert re.search(r"^\| A .*\| none +\|$", text, re.M) and re.search(r"^\| B .*\| 32\.2 s, 8\.5 s +\|$", text, re.M)
    assert "compiling: of each process in order" in text


def test_what_a_side_compiled_while_it_was_timed_is_reported():
    result = comparison(([1.0], [1.0]))
    result.b.runs[0].samples = [Sample(1.0, 3, 8, Reading(compilations=2))]
    (found,) = [finding for finding in warnings.check(result) if finding.code == "recompiled"]
    assert found.text.startswith("B: the engine compiled its model")


def test_a_process_that_does_not_wait_idly_is_reported():
    result = comparison(([1.0], [1.0]))
    result.rounds[0] = [Round("AB", {"A": 0.02, "B": 0.97})]
    (found,) = [finding for finding in warnings.check(result) if finding.code == "not_idle"]
    assert "B kept up to 0.97 CPUs busy" in found.text
    result.rounds[0] = [Round("AB", {"A": 0.02, "B": None})]
    assert "not_idle" not in [finding.code for finding in warnings.check(result)]


@pytest.mark.parametrize(("seen", "kept"), [(None, None), (0, 0), (1, 0), (3, 2)])
def test_the_partner_is_no_stranger_on_the_gpu(seen, kept):
    sample = _without_partner(Sample(1.0, 3, 8, Reading(other_gpu_processes=seen, temperature_c=40)))
    assert (sample.reading.other_gpu_processes, sample.reading.temperature_c) == (kept, 40)
    assert _without_partner(Sample(1.0, 3, 8)).reading is None


# Power.


def scattered(spread: float, pairs: int = 4, rounds: int = 2) -> AbResult:
    """Pairs whose log ratios are 0, spread, 0, … in every round."""
    return comparison(*[(rounds * [1.0], rounds * [math.exp(spread * (number % 2))]) for number in range(pairs)])


def test_noise_is_split_into_pairs_and_rounds():
    """Rounds that do not differ explain nothing; where only they do, more of them make pairs alike."""
    between = noise.pooled([scattered(0.1), scattered(0.1)], "", own=True)
    assert between.deviation(2) == pytest.approx(between.deviation(200)) == pytest.approx(0.1 * math.sqrt(1 / 3))
    draw = numpy.random.default_rng(5)
    pairs = [(8 * [1.0], list(numpy.exp(0.1 * draw.standard_normal(8)))) for _ in range(200)]
    within = noise.pooled([comparison(*pairs)], "", own=True)
    assert within.deviation(8) == pytest.approx(0.1 / math.sqrt(8), rel=0.15)
    assert within.deviation(800) < 0.5 * within.deviation(8)
    assert noise.pooled([comparison(([1.0], [1.0]))], "", own=True) is None


def earlier(folder: Path, spread: float) -> None:
    """A saved comparison of the fake engine with itself, in 4 pairs."""
    found, options = asked(*SAME, "-m", "8")
    saved = plan.new_result(found, options, "")
    of = scattered(spread)
    saved.a.runs, saved.b.runs, saved.rounds, saved.status = of.a.runs, of.b.runs, of.rounds, "complete"
    place = folder / "out" / "smollm2" / "ab" / "2026-01-02T03-04-05"
    place.mkdir(parents=True)
    saved.save(place / "ab.json")


def test_power_before_is_by_earlier_comparisons_of_the_same_sides(tmp_path):
    earlier(tmp_path, 0.1)
    found, _ = asked(*SAME, "-m", "8", "--output_dir", str(tmp_path / "out"))
    deviation = 0.1 * math.sqrt(1 / 3)
    delta = scipy.special.nctdtrinc(4, 0.2, scipy.stats.t.ppf(0.975, 4))
    assert found.noise.shows(5, 6).log == pytest.approx(delta * deviation / math.sqrt(5), rel=1e-6)
    assert found.power.startswith("5 pairs × 6 rounds can show B 10% faster or 9.3% slower (with 80% power), by the ")
    assert "noise of 1 earlier comparison of these sides in " in found.power
    other, _ = asked("--a", "engine=fake", "--b", "engine=fake", "-m", "9", "--output_dir", str(tmp_path / "out"))
    assert not other.noise.own
    assert (
        "4 published comparisons on NVIDIA H100 80GB HBM3, since no earlier one of these sides is in ab/" in other.power
    )


def test_detect_chooses_the_pairs_by_earlier_comparisons(tmp_path):
    earlier(tmp_path, 0.06)
    found, options = asked(*SAME, "-m", "8", "--output_dir", str(tmp_path / "out"), "--detect", "3%")
    wanted = power.pairs_to_detect(0.06 * math.sqrt(1 / 3), math.log1p(0.03), 30)
    assert found.sides["A"].scenario.processes == found.sides["B"].scenario.processes == wanted
    assert not found.pairs_left_open
    assert plan.new_result(found, options, "").detect == 0.03


def test_what_is_out_of_reach_is_refused_before_anything_is_measured(tmp_path):
    earlier(tmp_path, 0.2)
    with pytest.raises(
        UsageError, match=r"--detect 3% is out of reach: pairs differ by 11.5% \(1 earlier .* more than 30 of them"
    ):
        asked(*SAME, "-m", "8", "--output_dir", str(tmp_path / "out"), "--detect", "3%")


def test_the_noise_of_other_machines_refuses_nothing():
    found, _ = asked(*SAME, "--output_dir", "nowhere", "--detect", "1%")
    assert found.sides["A"].scenario.processes == detect.PILOT_PAIRS
    assert "the first 5 pairs show how many it takes to detect 1%" in found.power


def test_the_first_pairs_decide_how_many_it_takes():
    def after(spread: float, pairs: int, search: detect.Search) -> str | None:
        return search.ended(estimate.log_ratios(scattered(spread, pairs)))

    search = detect.Search(0.03, 5)
    assert [after(0.04, n, search) for n in (1, 4, 5)] == [None] * 3
    wanted = search.planned
    assert wanted == power.pairs_to_detect(0.04 * math.sqrt(0.3), math.log1p(0.03), 30) > 5
    assert after(0.04, wanted - 1, search) is None
    assert after(0.04, wanted, search) == f"{wanted} pairs of processes, as many as --detect takes"
    assert after(0.0, 5, detect.Search(0.03, 12)) is None  # never fewer than planned
    assert "is out of reach" in after(0.4, 5, detect.Search(0.03, 5))
    assert "fewer than two have a valid round" in detect.Search(0.03, 3).ended([[], [], [0.1]])


def test_a_comparison_ends_where_its_search_does():
    found, options = asked(*SAME, "--detect", "3%", "--output_dir", "nowhere")
    result = plan.new_result(found, options, "")
    of = measure.PairedMeasurement(Namespace(result=result), found, Path(), None)
    for pairs, ended in ((4, None), (5, "5 pairs of processes, as many as --detect takes")):
        measured = scattered(0.0, pairs)
        result.a, result.b = measured.a, measured.b
        assert of._enough(0.0) == ended


def test_what_could_have_been_shown_follows_the_verdict():
    result = scattered(0.02, pairs=5)
    result.detect = 0.03
    text = unwrapped(terminal.render(report.view(result)))
    found = estimate.ratio(estimate.log_ratios(result)).detectable
    assert f"by 5 pairs that differ as these do: B {found.shown} than A; requested with --detect: 3%" in text
    assert report.detectable(comparison(([1.0], [1.0]))) == []


@pytest.mark.parametrize(
    ("slower", "flags", "error", "words"),
    [
        (1.1, ["3%"], RegressionError, "B is slower than A by more than 3%"),
        (1.0, ["3%", "--fail_on_inconclusive"], None, "B is not slower than A by more than 3%"),
        (1.04, ["3%"], None, "inconclusive: whether B is slower than A by more than 3%"),
        (1.04, ["3%", "--fail_on_inconclusive"], InconclusiveError, "reaches across 0.97; more `--processes`"),
    ],
)
def test_the_gate_of_a_comparison(slower, flags, error, words):
    """Three pairs whose ratios differ by 1% or so."""
    _, options = asked(*SAME, "--fail_on_regression", *flags)
    result = comparison(*[([1.0, 1.0], [slower * part] * 2) for part in (0.99, 1.0, 1.01)])
    judged = command._judged(result, options.fail_on_regression)
    assert words in "".join(judged)
    with pytest.raises(error, match=words) if error else contextlib.nullcontext():
        regression.gate(judged, options.fail_on_inconclusive)


# What is published.


def published(folder: Path, **changes) -> Path:
    """A page for comparisons of Llama, and one comparison below its results."""
    page = folder / "docs" / "page.md"
    evidence = folder / "docs" / "results" / "ab" / "one.json"
    evidence.parent.mkdir(parents=True)
    page.write_text("<!-- ab: llama -->\n<!-- /ab -->\n")
    a = published_result(processes=2)
    b = published_result(processes=2, engine="transformers", seconds=(4.0, 8.0))
    for of in (a, b):
        of.model |= {"digest": "aa"}
        of.limits = LIMITS
    result = AbResult(a, b, {"A": {"engine": "mii"}, "B": {}}, status="complete", started_at=a.started_at)
    result.rounds = 2 * [2 * [Round("AB", {"A": 0.0, "B": 0.0})]]
    for name, value in changes.items():
        setattr(result, name, value)
    result.save(evidence)
    return page


def render(page: Path) -> str:
    assert documents.run(Namespace(check=False), [page], page.parent / "results") == 0
    return page.read_text()


def test_a_published_comparison_is_its_table_and_verdict(tmp_path):
    text = render(published(tmp_path))
    assert "**B is slower: 0.50000 [0.50000, 0.50000] times A.**" in text
    assert "mii, float16" in text
    assert "transformers, float16" in text
    assert "[JSON](results/ab/one.json)" in text


def test_nothing_published_is_not_measured(tmp_path):
    page = published(tmp_path)
    (page.parent / "results" / "ab" / "one.json").unlink()
    assert "Not measured yet." in render(page)


def test_what_measures_nothing_is_not_published(tmp_path):
    fake = published_result(engine="fake", processes=2)
    with pytest.raises(BenchError, match="cannot be published: an engine without a model measures nothing"):
        render(published(tmp_path / "1", b=fake))
    with pytest.raises(BenchError, match="its status is 'interrupted'"):
        render(published(tmp_path / "2", status="interrupted"))


def test_other_versions_are_in_the_title(tmp_path):
    result = AbResult.load(published(tmp_path).parent / "results" / "ab" / "one.json")
    packages = {**result.b.environment.packages, "deepspeed": "0.19.7"}
    result.b.environment = dataclasses.replace(result.b.environment, packages=packages)
    assert "mii, float16, deepspeed 0.19.8" in terminal.render(report.view(result))
    assert "transformers, float16, deepspeed 0.19.7" in terminal.render(report.view(result))


FAKE = ("ab", "-d", "cpu", "--output_dir", "out", "-m", "8")


@pytest.mark.parametrize(
    ("a", "words"),
    [
        ("engin=fake", "there is no key 'engin'"),
        ("engine=vllm", "engine cannot be 'vllm'"),
        ("engine", "'engine' is not key=value"),
        ("engine=fake engine=fake", "engine is given twice"),
        ("precision=int3", "precision cannot be 'int3'"),
        ("python=/nowhere/python", "no Python at '/nowhere/python'"),
        ("env.1=2", "there is no key 'env.1'"),
        ("tensor_parallel=0", "tensor_parallel: 0 is too few: at least 1"),
        ("tensor_parallel=two", "tensor_parallel: 'two' is not a whole number"),
        (
            "engine=transformers tensor_parallel=2",
            "--tensor_parallel 2: transformers cannot split smollm2 over 2 ranks",
        ),
        ("engine='fake", "cannot be read"),
        ("engine=mii", "--engine mii does not run on cpu"),
        ("engine=fake precision=float16", "--engine fake does not run in float16"),
        ("env.CUDA_VISIBLE_DEVICES=0", "A and B run on one device; set CUDA_VISIBLE_DEVICES for the whole command"),
    ],
)
def test_an_impossible_configuration_is_one_line(bench, a, words):
    assert words in bench.refusal(2, "ab", "-d", "cpu", "--a", a, "--b", "engine=fake")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "the following arguments are required: --a, --b"),
        ((*SAME, "--rounds", "0"), "0 is too few"),
        ((*SAME, "--time_budget", "9"), "give --target_ci as well"),
        ((*SAME, "-p", " "), "the prompt is empty"),
        ((*SAME, "--target_ci", "1"), "is not a percentage"),
        ((*SAME, "--fail_on_inconclusive"), "needs --fail_on_regression P%"),
        ((*SAME, "--fail_on_regression", "3%", "--processes", "1"), "one pair has none: --processes 3 or more"),
        ((*SAME, "--detect", "3%", "--processes", "9"), "--detect chooses the number of pairs: leave out --processes"),
    ],
)
def test_impossible_flags_are_one_line(bench, flags, words):
    assert words in bench.refusal(2, "ab", "-d", "cpu", *flags)


def test_dry_run_touches_nothing(bench, tmp_path):
    done = bench(*FAKE, "--a", "engine=transformers", "--b", "engine=deepspeed env.A=b env.MY_KEY=k1", "--dry_run")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "A           transformers on cpu",
        "B           deepspeed on cpu",
        "A=b, MY_KEY=(not shown)",
        "5 pairs",
        "power       5 pairs × 6 rounds can show B ",
        "together",
        "time        not known",
    ):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []
