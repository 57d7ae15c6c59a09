"""The check of the answers: its numbers against their definitions, its verdict against a real fault."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.benchmarks.quality import agreement, verdict
from bench_deepspeed.benchmarks.quality import view as report
from bench_deepspeed.benchmarks.quality.baseline import baseline_of
from bench_deepspeed.benchmarks.quality.measure import Checker, Shared
from bench_deepspeed.benchmarks.quality.records import Quality
from bench_deepspeed.benchmarks.quality.reference import Reference
from bench_deepspeed.core.errors import MachineError, UsageError
from bench_deepspeed.core.paths import QUESTIONS
from bench_deepspeed.machine import environment, software
from bench_deepspeed.measure.records import Environment
from bench_deepspeed.model import catalog
from bench_deepspeed.report import markdown


@pytest.mark.parametrize(
    ("expected", "answer", "exact", "first", "similarity"),
    [
        ([1, 2, 3], [1, 2, 3], True, None, 1.0),
        ([1, 2, 3], [1, 9, 3], False, 1, 1 - 1 / 3),
        ([1, 2, 3], [1, 2], False, 2, 1 - 1 / 3),
        ([1, 2], [3, 4, 5, 6], False, 0, 0.0),
    ],
)
def test_free_running_is_what_its_definitions_say(expected, answer, exact, first, similarity):
    found = agreement.free_running(expected, answer)
    assert (found["exact_match"], found["first_difference"]) == (exact, first)
    assert found["edit_similarity"] == pytest.approx(similarity)


def distance(value):
    return verdict.Distance(6000, value, value, value, 0.0, value, value)


def judged_numbers(engine, floor, own_kernels=True, gap=0.0):
    perfect = {"questions": 1, "exact_matches": 1, "first_difference": None, "edit_similarity": 1.0}
    measures = [
        verdict.Measures(**perfect, answer_gap=g, early=distance(x), late=distance(x))
        for x, g in ((engine, gap), (floor, 0.0))
    ]
    return verdict.judge(*measures, "float16", own_kernels)


def test_kernels_of_its_own_may_round_as_transformers_does_but_not_more():
    assert judged_numbers(0.05, 0.03)["ok"]
    assert not judged_numbers(0.07, 0.03)["ok"]
    assert not judged_numbers(0.05, 0.03, own_kernels=False)["ok"]
    assert not judged_numbers(math.nan, 0.03)["ok"]


def test_engine_that_does_not_generate_from_its_logits_is_outside():
    assert judged_numbers(0.03, 0.03, gap=0.05)["ok"]
    sampled = judged_numbers(0.03, 0.03, gap=0.5)
    assert [found["measure"] for found in sampled["outside"]] == ["answer_gap"]
    assert "answer gap 0.5" in sampled["words"]


def test_equal_rates_of_disagreement_are_seldom_called_different():
    """Simulated: engine and floor with the same true rate, drawn independently, at the published set's size."""
    rng = np.random.default_rng(0)
    for rate in (0.003, 0.01, 0.02):
        engine, floor = rng.binomial(175, rate, size=(2, 500))
        limits = [verdict._largest_share(count / 175, 175) for count in floor]
        outside = np.mean([count / 175 > limit for count, limit in zip(engine, limits, strict=True)])
        assert outside < 0.025
    assert verdict._largest_share(0.0, 175) < 0.06  # and a rate of one in seventeen is


def test_columns_are_the_same_in_every_row_and_the_ground_truth_is_last():
    answers = {"text": "An *answer* | of 3 < 4", "tokens": 1, "exact_match": True, "first_difference": None}
    forced = {"top1_agreement": 1.0, "nll_differences": [0.0], "kl": [0.0], "on_top_kl": [0.0]}
    answer = {**answers, "edit_similarity": 1.0, "answer_gap": 0.0, "early": forced, "late": forced}
    quality = Quality(
        model={"name": "smollm2", "title": "SmolLM2", "weights": "pretrained"},
        engine="deepspeed",
        device="cpu",
        reference_device="cpu",
        environment=Environment(),
        system_prompt="",
        max_tokens=1,
        started_at="2026-01-02T03:04:05",
        candidates=[{"precision": "float32", "engine": [answer, answer], "floor": None}],
        questions=[
            {"prompt": "One?", "reference": "1", "published": {}},
            {"prompt": "Two?", "reference": "2", "published": {"float16": "two"}},
        ],
    )
    text = markdown.render(report.view(quality), Path("page.md"), lambda _figure: None)
    head = next(line for line in text.splitlines() if line.startswith("| question"))
    titles = [cell.strip() for cell in head.strip("|").split("|")]
    assert titles[1:] == ["deepspeed float32", "published float16", "Transformers float32 (ground truth)"]
    assert "An \\*answer\\* \\| of 3 &lt; 4" in text
    assert "identical to float32" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"questions": [', "line 1"),
        ("[]", "has no prompt"),
        ('{"questions": []}', "empty"),
        ('{\n"questions": [{"prompt": "a"}],\n"max_token": 3}', 'line 3: unknown field "max_token"'),
        ('{"questions": [{"prompt": "a"}],\n"max_tokens": "3"}', 'line 2: "max_tokens" must be a whole number'),
        ('{"questions": [\n{"prompt": "a", "publish": {}}]}', 'line 2: question 1: unknown field "publish"'),
        ('{"questions": [{"prompt": "\\ud800"}]}', "question 1 has half a character"),
        ('{"' + "k" * 2000 + '": 1, "questions": []}', "line 1: unknown field"),
        ('{"questions": [{"prompt": "a"}],\n"max_tokens": 0}', "line 2"),
        ('{"questions": [{"prompt": "a", "published": {"llama": "text"}}]}', "published"),
        ('{\n\t"questions": [{"prompt": "prompt",\n"published": 3},\n{"prompt": "b"}]}', "line 3: question 1"),
        ('{"questions": [\n{"prompt": "a"},\n{"prompt": " "}]}', "line 3: question 2"),
    ],
)
def test_malformed_questions_are_named_with_their_line(tmp_path, text, message):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        questions.load(path)
    assert message in str(error.value)


def test_questions_may_be_a_text_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("First?\n\nSecond?\n")
    assert questions.load(path).prompts == ["First?", "Second?"]


def test_the_suites_own_questions_are_five_with_published_answers():
    own = questions.load(QUESTIONS)
    assert len(own.prompts) == len(own.published) == 5
    assert all({"llama", "mistral"} <= published.keys() for published in own.published)


@pytest.mark.parametrize("flags", [("--weights", "random"), ("--engine", "fake")])
def test_what_answers_nothing_is_refused(bench, flags):
    done = bench("quality", "-d", "cpu", *flags)
    assert done.returncode == 2
    assert "nothing to compare" in done.stderr


@pytest.mark.parametrize(
    ("engine", "device", "precision", "baseline"),
    [
        ("mii", "cuda", "float16", "transformers"),
        ("deepspeed", "cpu", "int8", "transformers"),
        ("transformers", "cpu", "int8", "deepspeed"),
        ("transformers_compiled", "cuda", "fp8", "transformers"),
        ("transformers", "cuda", "int4", "deepspeed"),
        ("transformers", "cuda", "fp8", None),
        ("deepspeed", "cpu", "int4", None),
        ("mii", "cuda", "fp6", None),
    ],
)
def test_the_baseline_is_another_implementation(monkeypatch, engine, device, precision, baseline):
    monkeypatch.setattr(software, "installed_version", lambda _name: "1.0")
    assert baseline_of(catalog.load("llama"), engine, device, precision) == baseline


def packed(kl: float, **candidate) -> dict:
    """The verdict on DeepSpeed's int4 with such a KL divergence at each of its positions."""
    forced = {"top1_agreement": 0.9, "nll_differences": [0.0], "kl": [kl], "on_top_kl": [kl]}
    answer = {"exact_match": True, "first_difference": None, "edit_similarity": 1.0, "answer_gap": 0.01, "past_end": 0}
    answers = [{**answer, "early": forced, "late": forced}]
    return verdict.verdict_of({"precision": "int4", "engine": answers, **candidate}, "deepspeed", "cuda")


def test_a_precision_that_nothing_else_runs_has_no_floor_and_says_so():
    alone = {"baseline": None, "floor": None}
    assert packed(0.3, **alone)["ok"] is None
    assert (
        "no noise floor: nothing else runs int4 on this cuda; mean KL from float32 0.3" in packed(0.3, **alone)["words"]
    )
    wrong = packed(math.nan, **alone)
    assert wrong["ok"] is False
    assert wrong["words"].startswith("wrong, without a noise floor: early max KL nan")


def test_a_baseline_whose_package_is_not_installed_is_named(monkeypatch):
    """Else the check would say that nothing else runs the precision, and judge less."""
    monkeypatch.setattr(software, "installed_version", lambda name: None if name == "torchao" else "1.0")
    with pytest.raises(MachineError, match="the noise floor of int8 comes from transformers: int8 needs the package"):
        baseline_of(catalog.load("llama"), "deepspeed", "cpu", "int8")


def test_another_librarys_weights_may_err_twice_as_much_and_no_more():
    forced = {"top1_agreement": 0.9, "nll_differences": [0.0], "kl": [0.1], "on_top_kl": [0.0]}
    answer = {"exact_match": True, "first_difference": None, "edit_similarity": 1.0, "answer_gap": 0.0, "past_end": 0}
    other = {"baseline": "transformers", "floor": [{**answer, "early": forced, "late": forced}]}
    limit = verdict.FACTOR * verdict.SCHEMES**2 * 0.1
    assert packed(0.99 * limit, **other)["ok"]
    assert {found["measure"] for found in packed(1.01 * limit, **other)["outside"]} == {"mean_kl"}
    same = {**other, "baseline": "deepspeed"}  # the very weights: no scheme differs
    assert not packed(0.99 * limit, **same)["ok"]


def test_checks_of_several_engines_compute_the_reference_and_a_floor_once(monkeypatch, tmp_path):
    asked, computed, kept = questions.QuestionSet("", 4, ["Hello"], [{}]), [], []
    shared = Shared(tmp_path, several=True)

    def assess(checker, engine, precision, _reference, *, keep=None, floor=None, ranks=1):
        computed.append((engine, precision))
        checker.quality.environment = Environment(cpu=engine)
        return [{"engine": engine, "against": floor and floor.name}]

    monkeypatch.setattr(environment, "host_facts", Environment)
    monkeypatch.setattr(Checker, "_prepare", lambda *_: tmp_path)
    monkeypatch.setattr(Checker, "_reference", lambda *_: computed.append("reference") or Reference(tmp_path, [], [""]))
    monkeypatch.setattr(Checker, "_assess", assess)
    monkeypatch.setattr(verdict, "verdict_of", lambda *_: {"ok": True})

    def check(engine: str, precision: str) -> Quality:
        found = Quality({}, engine, "cuda", "cuda", Environment(), "", 4, [], "now")
        options = SimpleNamespace(models_dir=tmp_path, late_tokens=None)
        where = {"device": "cuda", "precision": precision, "tensor_parallel": 1}
        scenario = SimpleNamespace(model="smollm2", engine=engine, **where)
        recorder = SimpleNamespace(result=found, save=lambda: None)
        Checker(recorder, scenario, options, asked, None, shared=shared).run((precision,))
        kept.append(sorted(path.name for path in tmp_path.iterdir()))
        return found

    cells = [("mii", "bfloat16"), ("transformers", "bfloat16"), ("deepspeed", "bfloat16"), ("deepspeed", "float16")]
    first, second, third, _fourth = (check(*cell) for cell in cells)
    packed_cells = [(engine, "int8") for engine in ("deepspeed", "transformers", "transformers_compiled")]
    one, other, compiled = (check(*cell) for cell in packed_cells)
    assert computed == [
        "reference",
        ("transformers", "bfloat16"),
        ("mii", "bfloat16"),
        ("deepspeed", "bfloat16"),
        ("transformers", "float16"),
        ("deepspeed", "float16"),
        ("transformers", "int8"),
        *packed_cells,
    ]
    assert other.candidates[0]["floor"] == one.candidates[0]["engine"]  # each is the other's baseline
    assert compiled.candidates[0]["floor"] == other.candidates[0]["engine"]
    assert first.candidates[0]["engine"] == [{"engine": "mii", "against": "transformers-bfloat16"}]
    assert second.candidates[0]["engine"] == second.candidates[0]["floor"] == third.candidates[0]["floor"]
    assert second.environment.cpu == "transformers"  # of what was computed for an earlier check
    both = ["deepspeed-int8", "transformers-int8"]
    assert kept == [["transformers-bfloat16"]] * 3 + [["transformers-float16"]] + [both] * 3
