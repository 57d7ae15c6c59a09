"""The gate: what no device can do is refused with the arithmetic, and what it can do passes."""

from __future__ import annotations

import dataclasses

import pytest

from bench_deepspeed.core.errors import BenchError, ImpossibleError
from bench_deepspeed.measure import plausibility
from bench_deepspeed.measure.audits import late_tokens
from bench_deepspeed.measure.plausibility import (
    DecodeStep,
    check,
    check_clock,
    check_prefill,
    check_steps,
    gate,
    require_possible,
)
from bench_deepspeed.measure.records import (
    Audit,
    EngineDescription,
    Latency,
    Limits,
    Prefill,
    Profile,
    Result,
    Run,
    Sample,
    Scenario,
)
from bench_deepspeed.model import arithmetic, catalog

LLAMA = catalog.load("llama")
LIMITS = Limits(2e12, 3e12, 5e14, "float16", 50_000_000)
TOKENS = 100


def result(seconds: float = 1.0, **measured) -> Result:
    """A result of an engine that reads Llama's weights in float16: a hundred tokens in so many seconds."""
    scenario = Scenario("llama", "mii", "cuda", "float16", "random", "hello", TOKENS, 1, 2, 0, 0)
    samples = [Sample(1.0, 10, TOKENS), Sample(seconds, 10, TOKENS)]
    given = {
        "engine": EngineDescription(reads_weights=True),
        "limits": LIMITS,
        "runs": [Run(samples=samples)],
        **measured,
    }
    return Result(scenario, **given)


def fastest() -> float:
    """Seconds of the fastest repetition that memory allows, by the formula in the documentation."""
    step = arithmetic.decode_bytes(LLAMA, "float16", 10 + (TOKENS - 2) / 2) - LIMITS.cache_bytes
    return TOKENS * step / LIMITS.bytes_per_s


def test_the_arithmetic_is_in_the_message():
    limits = Limits(2.9e12, 3e12, 1e20, "float16", 0)
    with pytest.raises(ImpossibleError) as caught:
        check_steps("repetition 2", 5120.0, DecodeStep(13.2e9, 1.0), limits)
    assert str(caught.value) == (
        "impossible: repetition 2: 5120.0 steps/s × (13.2 GB a step − 0 B that caches can hold) = 67.6 TB/s, "
        "but this device was measured at 3 TB/s"
    )


def audited(**changed) -> Result:
    """Two repetitions of 1 s, whose answer is the model's; `changed` is what its audit says instead."""
    ids = list(range(TOKENS))
    audit = Audit(
        **{"token_ids": [ids], "given": [0, 0], "gaps": [0.0], "new_prompt_s": [1.0], "rest_s": 0.0, **changed}
    )
    samples = [Sample(1.0, 10, TOKENS)] * 2
    return result(runs=[Run(samples=samples, audit=audit)])


REFUTED = {
    "another answer": ({"gaps": [0.26]}, r"a token is 0\.26 below .* rounding in float16 explains 0\.25"),
    "fewer tokens": ({"token_ids": [[1] * 50]}, "counts 100 new tokens of a generation whose answer has 50"),
    "remembered": ({"new_prompt_s": [5.1, 6.0]}, "takes 5.1 s or more for a new prompt, and 1 s or less"),
    "a draft": ({"new_prompt_s": [2.1, 3.0, 4.0], "repeated_s": [1.0, 0.9, 0.8]}, "2.1 s or more .* 1 s or less"),
    "one of two answers": ({"token_ids": [list(range(TOKENS))] * 2, "gaps": [0.0, 1.0]}, "a token is 1 below"),
    "no gap": ({"token_ids": [list(range(TOKENS))] * 2, "gaps": [0.0, float("nan")]}, "are not the model's"),
    "read late": ({"read_s": 0.2}, "reading the tokens of a generation of process 1 took 0.2 s after the clock"),
    "not at rest": ({"rest_s": None}, "continues to compute"),
    "a kept prompt": ({"long_new_s": [2.1, 3.0], "long_repeated_s": [0.9, 1.0]}, "2.1 s or more .* that is long"),
    "half the work": (
        {"first_s": [0.02] * 2, "half_s": [0.51, 0.6], "new_prompt_s": [0.7, 0.8]},
        "a token of the second half of an answer takes process 1 0.38 times as long as one of the first",
    ),
}


@pytest.mark.parametrize("case", REFUTED)
def test_an_audit_that_refutes_is_impossible(case):
    changed, words = REFUTED[case]
    with pytest.raises(ImpossibleError, match=words):
        check(audited(**changed), LLAMA)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"gaps": [0.25]},
        {"new_prompt_s": [5.0, 6.0]},
        {"new_prompt_s": [9.0, 1.0]},
        {"new_prompt_s": [9.0, 9.0], "repeated_s": [1.0, 2.0]},
        {"new_prompt_s": [2.1, 2.1], "repeated_s": [1.0, 1.0]},
        {"new_prompt_s": [2.0, 9.0, 9.0], "repeated_s": [1.0, 1.0, 1.0]},
        {"spins": True, "rest_s": None},
        {"read_s": 0.1},
        {"long_new_s": [1.9, 9.0], "long_repeated_s": [0.9, 1.0]},
        {"first_s": [0.02] * 2, "half_s": [0.9, 0.5], "new_prompt_s": [1.0, 1.0]},
        {"first_s": [0.02], "half_s": [0.01], "new_prompt_s": [1.0]},
    ],
)
def test_an_audit_within_its_limits_passes(changed):
    check(audited(**changed), LLAMA)


@pytest.mark.parametrize(
    "changed",
    [
        {"gaps": []},
        {"given": [1, 0]},
        {"given": [-1, 0]},
        {"given": [0]},
        {"given": [0, 0, 0]},
        {"read_s": -1.0},
        {"gaps": [float("nan")]},
        {"new_prompt_s": [0.0]},
        {"checked": [0, 0]},
        {"checked": [1]},
        {"half_s": [1.0]},
        {"long_new_s": [float("inf")]},
    ],
)
def test_an_audit_that_contradicts_itself_is_no_result(tmp_path, changed):
    path = tmp_path / "result.json"
    audited(**changed).save(path)
    with pytest.raises(BenchError, match="the audit of process 1 contradicts itself"):
        Result.load(path)


def test_with_prompts_of_their_own_the_repetitions_are_new_ones():
    """A repeated prompt that is answered at once is then what refutes, and slow repetitions are not."""
    varied = audited(new_prompt_s=[1.0], repeated_s=[0.19])
    check(varied, LLAMA)
    varied.scenario = dataclasses.replace(varied.scenario, varied=True)
    with pytest.raises(ImpossibleError, match="takes 1 s or more for a new prompt, and 0.19 s or less"):
        check(varied, LLAMA)


def test_a_token_of_the_second_half_over_one_of_the_first():
    assert late_tokens([1.0], [5.0], [11.0], 10) == pytest.approx((6 / 5) / (4 / 4))
    assert late_tokens([1.0, 1.0], [5.0, 5.0], [5.0, 10.0], 10) == pytest.approx(1.0)
    assert late_tokens([1.0], [4.0], [4.0], 7) is None
    assert late_tokens([], [], [1.0], 10) is None


def test_an_audit_is_read_back(tmp_path):
    path = tmp_path / "result.json"
    audited().save(path)
    assert Result.load(path).runs[0].audit == audited().runs[0].audit


def test_what_memory_allows_passes():
    check(result(fastest()), LLAMA)


def test_within_the_tolerance_passes_and_beyond_it_does_not():
    check(result(fastest() / 1.049), LLAMA)
    with pytest.raises(ImpossibleError, match=r"repetition 2: .* steps/s × \(13\.\d GB a step .*3 TB/s$"):
        check(result(fastest() / 1.051), LLAMA)


def test_a_void_repetition_is_no_claim():
    claimed = result()
    claimed.runs[0].samples.append(Sample(1e-3, 10, TOKENS - 1))
    check(claimed, LLAMA)


def test_an_engine_without_weights_is_not_checked():
    check(result(1e-9, engine=EngineDescription(reads_weights=False)), LLAMA)
    check(result(1e-9, engine=EngineDescription()), LLAMA)


def test_what_the_caches_hold_needs_no_memory_but_arithmetic():
    limits = Limits(1e9, 1e9, 1e12, "float32", 1_000_000)
    check_steps("x", 1e5, DecodeStep(999_999.0, 1e6), limits)
    check_steps("x", 1e3, DecodeStep(1_900_000.0, 1e6), limits)
    with pytest.raises(ImpossibleError, match="GB/s"):
        check_steps("x", 1e3, DecodeStep(2_100_000.0, 1e6), limits)
    with pytest.raises(ImpossibleError, match="1 MFLOP a step = 2 TFLOP/s, .* 1 TFLOP/s"):
        check_steps("x", 2e6, DecodeStep(999_999.0, 1e6), limits)


def test_unknown_caches_leave_the_arithmetic():
    limits = Limits(1e9, 1e9, 1e12, "float32", None)
    check_steps("x", 1e3, DecodeStep(1e9, 1e6), limits)
    with pytest.raises(ImpossibleError, match="FLOP"):
        check_steps("x", 2e6, DecodeStep(1e9, 1e6), limits)


@pytest.mark.parametrize("method", ["streamed", "difference"])
def test_decoding_too_fast_behind_a_slow_first_token(method):
    """A hundred tokens in the time is possible, ninety-nine in what the first one left of it are not."""
    end_to_end = 1.6 * fastest()
    latency = Latency(method, [0.7 * fastest()], [end_to_end], [])
    check(result(end_to_end), LLAMA)
    with pytest.raises(ImpossibleError, match=rf"decoding \(TPOT, {method}\)"):
        check(result(end_to_end, latency=latency), LLAMA)


def test_the_difference_of_two_nearly_equal_times_refutes_nothing():
    check(result(latency=Latency("difference", [1.0], [1.001], [])), LLAMA)


def test_a_generation_timed_for_latency_is_held_against_the_limit():
    latency = Latency("difference", [1e-3], [fastest() / 1.2], [])
    with pytest.raises(ImpossibleError, match="a generation timed for latency"):
        check(result(latency=latency), LLAMA)


def profiled(seconds: float, busy_s: float | None, device: str = "cuda") -> Result:
    """A hundred tokens in so many seconds, and a profile of a step in which the device works for `busy_s`."""
    return result(seconds, profiles=[Profile("decode", device, 10, 32, 0.1, busy_s, [], [])])


def test_no_step_takes_less_than_the_gpus_own_work():
    seconds = 2 * fastest()
    busy_s = 1.25 * seconds / TOKENS
    check(profiled(seconds, busy_s / 1.001), LLAMA)
    check(profiled(seconds, busy_s * 9, device="cpu"), LLAMA)
    check(profiled(seconds, None), LLAMA)
    with pytest.raises(ImpossibleError, match=r"repetition 2: .* steps/s × .* ms that the GPU works .* = 1\.25 s of"):
        check(profiled(seconds, busy_s * 1.001), LLAMA)


def test_the_gate_is_the_lowest_ceiling_and_what_it_refuses():
    by_memory = gate(result(fastest()), LLAMA)
    assert (by_memory.by, by_memory.steps_per_s) == ("memory bandwidth", pytest.approx(1.05 * TOKENS / fastest()))
    by_work = gate(profiled(1.0, 0.02), LLAMA)
    assert (by_work.by, by_work.steps_per_s) == ("the GPU's work in a step", pytest.approx(1.25 / 0.02))
    by_products = gate(result(limits=dataclasses.replace(LIMITS, cache_bytes=None)), LLAMA)
    assert by_products.by == "matrix products"
    assert by_products.steps_per_s == pytest.approx(1.05 * 5e14 / arithmetic.decode_flops(LLAMA))
    assert gate(result(limits=None), LLAMA) is None
    assert gate(result(engine=EngineDescription(reads_weights=False)), LLAMA) is None


def test_prefill_beyond_the_matrix_products():
    fastest_s = arithmetic.prefill_flops(LLAMA, 2048) / LIMITS.matmul_flops_per_s
    check(result(prefill=Prefill(2048, [1.0, fastest_s])), LLAMA)
    with pytest.raises(ImpossibleError, match=r"prefill: .* TFLOP / .* s = .* but .* 500 TFLOP/s"):
        check(result(prefill=Prefill(2048, [1.0, fastest_s / 1.06])), LLAMA)
    check_prefill(1e12, 1.0, LIMITS)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 999e-9])
def test_a_time_too_short_for_the_clock(seconds):
    with pytest.raises(ImpossibleError, match="too coarse for less than 1e-06 s"):
        check_clock("repetition 1", seconds, 1e-9)
    check_clock("repetition 1", 1001e-9, 1e-9)


def test_a_coarse_clock_shows_less(monkeypatch):
    class Coarse:
        resolution = 0.015

    monkeypatch.setattr(plausibility.time, "get_clock_info", lambda name: Coarse)
    with pytest.raises(ImpossibleError, match="repetition 1 took 1 s"):
        check(result(limits=None), LLAMA)


@pytest.mark.parametrize(
    "measured",
    [
        {"latency": Latency("streamed", [0.0], [1.0], [])},
        {"latency": Latency("streamed", [0.1], [0.0], [])},
        {"prefill": Prefill(512, [0.0])},
    ],
    ids=["first token", "latency", "prefill"],
)
def test_every_time_is_held_against_the_clock(measured):
    check(result(limits=None), LLAMA)
    with pytest.raises(ImpossibleError, match="took 0 s"):
        check(result(limits=None, **measured), LLAMA)


def test_the_limits_are_measured_again_before_they_refute():
    """Limits measured while others used the machine are too low, and must not fail an honest run."""
    honest = result(fastest() * 1.01)
    honest.limits = Limits(1e11, 1e11, 1e13, "float16", 50_000_000)
    require_possible(honest, lambda: LIMITS)
    assert honest.limits == LIMITS
    with pytest.raises(ImpossibleError):
        require_possible(result(fastest() / 2), lambda: LIMITS)


def test_what_others_took_of_the_cpus_is_granted_and_no_more():
    """Met on a busy machine: an honest prefill, and limits that were measured while another program ran."""
    beside = Limits(4e10, 5e10, 95.5e9, "float32", 1_000_000, cpu_share=0.5)
    check_prefill(118e9, 0.7874, beside)
    with pytest.raises(ImpossibleError, match="with 50% of its CPUs"):
        check_prefill(118e9, 0.5, beside)
    with pytest.raises(ImpossibleError):
        check_prefill(118e9, 0.7874, dataclasses.replace(beside, cpu_share=None))
