"""Bytes, FLOPs and utilization against counts made in another way, and against figures worked out by hand."""

from __future__ import annotations

import numpy
import pytest

from bench_deepspeed.measure import metrics
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.records import Energy, Latency, Limits, Prefill, Result, Run, Sample, Scenario
from bench_deepspeed.model import arithmetic, catalog

LLAMA, MISTRAL, SMOLLM2 = (catalog.load(name) for name in ("llama", "mistral", "smollm2"))
LIMITS = Limits(2e12, 3e12, 5e14, "float16", 50_000_000)


def result(max_tokens: int = 101, seconds: float = 1.0, **measured) -> Result:
    """A result of Llama in float16 with one repetition."""
    scenario = Scenario("llama", "mii", "cuda", "float16", "random", "hello", max_tokens, 1, 1, 0, 0)
    runs = [Run(samples=[Sample(seconds, 10, max_tokens)])]
    return Result(scenario, runs=runs, **{"limits": LIMITS, **measured})


def test_llamas_step_by_hand():
    # 32 layers of 4 × 4096² + 3 × 4096 × 11008 + 2 norms, a norm and a head; K and V of 4096 values a layer.
    layers = 32 * (4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096)
    read = layers + 4096 + 32000 * 4096
    assert arithmetic.decode_bytes(LLAMA, "float16", 0) == 2 * read
    assert arithmetic.decode_bytes(LLAMA, "bfloat16", 100) == 2 * (read + 2 * 32 * 4096 * 100)
    assert arithmetic.decode_bytes(LLAMA, "float32", 7) == 2 * arithmetic.decode_bytes(LLAMA, "float16", 7)


def test_a_tied_table_is_read_as_the_head():
    assert arithmetic.decode_bytes(SMOLLM2, "float32", 0) == 4 * SMOLLM2.parameters


def test_a_sliding_window_ends_the_context():
    inside, at, beyond = (arithmetic.decode_bytes(MISTRAL, "float16", tokens) for tokens in (4095, 4096, 30000))
    assert at - inside == 2 * 2 * 32 * 8 * 128
    assert beyond == at


@pytest.mark.parametrize("spec", [LLAMA, MISTRAL], ids=lambda spec: spec.name)
@pytest.mark.parametrize(("prompt", "new"), [(9, 512), (4000, 300), (5, 2)])
def test_mean_context_is_that_of_the_steps_one_by_one(spec, prompt, new):
    cached, read = prompt, []
    for _ in range(new - 1):
        read.append(arithmetic.decode_bytes(spec, "float16", cached))
        cached += 1
    mean = arithmetic.mean_context(spec, prompt, new)
    assert arithmetic.decode_bytes(spec, "float16", mean) == pytest.approx(numpy.mean(read), rel=1e-12)


def test_one_token_is_no_step_but_has_a_context():
    assert arithmetic.mean_context(LLAMA, 9, 1) == 9


def test_prefill_flops_by_hand():
    tokens, layer = 512, 4 * 4096**2 + 3 * 4096 * 11008
    expected = 2 * 32 * layer * tokens + 2 * 32000 * 4096 + 2 * 32 * 4096 * tokens**2
    assert arithmetic.prefill_flops(LLAMA, tokens) == expected


def test_prefill_flops_with_a_window_count_the_pairs_inside():
    tokens, sees = 6000, MISTRAL.shape["sliding_window"]
    pairs = sum(min(position, sees) for position in range(1, tokens + 1))
    attention = (
        arithmetic.prefill_flops(MISTRAL, tokens)
        - 2 * arithmetic.matmul_weights(MISTRAL) * tokens
        - 2 * arithmetic.head_weights(MISTRAL)
    )
    assert attention == pytest.approx(4 * 32 * 4096 * pairs, rel=1e-3)


def test_tpot_of_streamed_generations_takes_each_its_own_first_token():
    latency = Latency("streamed", [0.1, 0.3], [1.1, 2.3], [[0.1] * 10, [0.2] * 10])
    assert metrics.tpot_s(latency, 11) == pytest.approx([0.1, 0.2])
    assert metrics.ttft_s(latency) == pytest.approx(0.2)


def test_tpot_by_difference_takes_the_mean_first_token():
    latency = Latency("difference", [0.1, 0.2, 0.3], [1.2, 2.2], [])
    assert metrics.tpot_s(latency, 11) == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize(
    ("latency", "new_tokens"),
    [(Latency("difference", [0.1], [0.1], []), 1), (Latency("streamed", [], [], []), 8)],
    ids=["one token", "nothing"],
)
def test_no_step_no_tpot(latency, new_tokens):
    assert metrics.tpot_s(latency, new_tokens) == []


@pytest.mark.parametrize("gaps", [[0.5], [0.1, 0.4], list(numpy.random.default_rng(1).lognormal(-5, 1, 501))])
def test_percentiles_are_numpys(gaps):
    latency = Latency("streamed", [0.1, 0.1], [1.0, 1.0], [gaps[::2], gaps[1::2]])
    expected = numpy.percentile(gaps, [50, 90, 99])
    assert list(metrics.itl_s(latency)) == [50, 90, 99]
    assert list(metrics.itl_s(latency).values()) == pytest.approx(expected, rel=1e-12)


def test_without_gaps_no_percentiles():
    assert metrics.itl_s(Latency("difference", [0.1], [1.0], [])) is None


def test_mbu_from_tpot():
    latency = Latency("streamed", [0.5], [1.5], [[0.01] * 100])
    found = metrics.mbu(result(seconds=1.5, latency=latency), LLAMA)
    expected = 100 * arithmetic.decode_bytes(LLAMA, "float16", 10 + 99 / 2)
    assert (found.achieved, found.source) == (pytest.approx(expected), "TPOT, streamed")
    assert (found.limit, found.value) == (3e12, pytest.approx(expected / 3e12))


@pytest.mark.parametrize(
    "latency",
    [
        None,
        Latency("difference", [0.6], [1.0], []),
        Latency("difference", [1.1], [1.0], []),
        Latency("streamed", [0.1], [1.5], [[0.014] * 100]),
    ],
    ids=["not measured", "mostly prefill", "noise", "slowed down by streaming"],
)
def test_mbu_end_to_end_is_a_lower_bound_and_says_so(latency):
    found = metrics.mbu(result(latency=latency), LLAMA)
    assert found.achieved == pytest.approx(101 * arithmetic.decode_bytes(LLAMA, "float16", 10 + 99 / 2))
    assert found.source == "end to end"


def test_mfu_is_of_the_mean_time():
    found = metrics.mfu(result(prefill=Prefill(512, [0.02, 0.04])), LLAMA)
    assert found.achieved == pytest.approx(arithmetic.prefill_flops(LLAMA, 512) / 0.03)
    assert found.value == pytest.approx(found.achieved / 5e14)


def test_what_was_not_measured_is_none():
    unlimited = result(limits=None, prefill=Prefill(512, [0.02]))
    assert metrics.mbu(unlimited, LLAMA) is metrics.mfu(unlimited, LLAMA) is metrics.mfu(result(), LLAMA) is None
    unmeasured = result()
    unmeasured.runs = []
    assert metrics.mbu(unmeasured, LLAMA) is None


def test_energy():
    energy = Energy("counter", joules=300.0, seconds=1.5, new_tokens=100)
    assert (metrics.joules_per_token(energy), metrics.mean_power_w(energy)) == (3.0, 200.0)
    nothing = Energy("counter", joules=0.0, seconds=0.0, new_tokens=0)
    assert metrics.joules_per_token(nothing) is metrics.mean_power_w(nothing) is None


def test_a_unit_without_a_format_is_refused_where_the_metric_is_defined():
    with pytest.raises(ValueError, match="the metric speed has the unit 'tokens/min', which core/units.py"):
        Metric("speed", "speed", "tokens/min", "how fast", lambda row: row)
