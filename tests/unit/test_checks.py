"""Each warning appears for what it is made for, none without a reason, and noise alone seldom makes one."""

from __future__ import annotations

import dataclasses
import random
import re

import pytest
from support import section

from bench_deepspeed.measure import warnings
from bench_deepspeed.measure.records import (
    Energy,
    EngineDescription,
    Environment,
    Latency,
    Limits,
    Reading,
    Result,
    Run,
    Sample,
    Scenario,
)
from bench_deepspeed.measure.warnings import RULES, check

CALM = Reading(1980, 2619, 55, [], 0, 0.05)
CLEAN = [[100.0, 100.4, 99.7, 100.2, 99.9, 100.1, 99.8, 100.3, 99.6, 100.05]] * 3
CLEAN = [[speed * factor for speed in speeds] for speeds, factor in zip(CLEAN, (1.0, 1.004, 0.997), strict=True)]


def scenario() -> Scenario:
    return Scenario(
        model="smollm2",
        engine="fake",
        device="cuda",
        precision="float16",
        weights="pretrained",
        prompt="one two",
        max_tokens=64,
        processes=3,
        repetitions=10,
        warmups=None,
        seed=0,
    )


def result_of(speeds: list[list[float]], *unusual: Reading, steady: bool = True) -> Result:
    """A result with these speeds, in tokens/s. The first process's first readings are the unusual ones."""
    runs = [Run(steady=steady, samples=[Sample(64 / x, 2, 64, CALM) for x in process]) for process in speeds]
    for index, reading in enumerate(unusual):
        runs[0].samples[index] = dataclasses.replace(runs[0].samples[index], reading=reading)
    facts = Environment(cpu_count=16, gpu_slowdown_c=87)
    return Result(scenario(), runs=runs, environment=facts, engine=EngineDescription(reads_weights=False))


def codes(result: Result) -> list[str]:
    """All but the one that three processes have, whatever they show."""
    return [finding.code for finding in check(result) if finding.code != "rare_states"]


def unusual(**changes) -> Reading:
    return dataclasses.replace(CALM, **changes)


def changed(process: int, repetition: int, factor: float) -> list[list[float]]:
    """The clean speeds with one of them multiplied."""
    speeds = [list(values) for values in CLEAN]
    speeds[process][repetition] *= factor
    return speeds


def slowed(count: int, factor: float) -> Result:
    """The clean result with the host's loop around each repetition, that many times longer around the last few."""
    result = result_of(CLEAN)
    for run in result.runs:
        run.samples = [dataclasses.replace(sample, host_s=[0.0007, 0.0009]) for sample in run.samples]
    last = result.runs[-1].samples
    last[-count:] = [dataclasses.replace(s, host_s=[factor * x for x in s.host_s]) for s in last[-count:]]
    return result


FALLING = [[116.0 - 3.1 * n for n in range(10)], *CLEAN[1:]]
TWO_MODES = [[speed * (1.1 if n % 2 else 1.0) for n, speed in enumerate(speeds)] for speeds in CLEAN]
APART = [[speed * factor for speed in speeds] for speeds, factor in zip(CLEAN, (1.0, 1.1, 0.9), strict=True)]
IN_ORDER = [[speed * (1 - 0.01 * n) for speed in CLEAN[n % 3]] for n in range(8)]
HOT = unusual(temperature_c=34)
CASES = {
    "drift": (result_of(FALLING), r"from 112\.9 to 91\.2 tokens/s \(-19\.2%\)"),
    "drift_across": (
        result_of(IN_ORDER, HOT),
        r"\(p = 3\.7e-05\): from 100\.0 tokens/s in the first of 8 to 93\.\d in the last, .* from 34 to 55 °C",
    ),
    "outliers": (result_of(changed(1, 6, 0.8)), r"1 of 30 .* 80\.\d tokens/s \(-18\.\d%\), repetition 7 of process 2"),
    "bimodality": (result_of(TWO_MODES), r"dip test: p = 0"),
    "wide_interval": (result_of(APART), r"76\.6 … 128\.4 tokens/s \(± 26\.0%\)"),
    "no_interval": (result_of(CLEAN[:1]), r"one process"),
    "few_samples": (result_of([values[:4] for values in CLEAN]), r"3 processes with 4 valid repetitions"),
    "rare_states": (result_of(CLEAN * 4), r"12 processes with 120 .* 22% of processes or 2\.5% of generations"),
    "first_call": (result_of(changed(2, 0, 0.7)), r"first repetition of process 3 is 30% slower"),
    "clocks": (result_of(CLEAN, unusual(sm_clock_mhz=1755)), r"1755 to 1980 MHz after 30 repetitions \(11\.4%"),
    "throttling": (
        result_of(
            CLEAN, unusual(throttle_reasons=["power cap"]), unusual(throttle_reasons=["power cap", "power brake"])
        ),
        r"power cap after 2, power brake after 1 of 30 repetitions",
    ),
    "temperature": (result_of(CLEAN, unusual(temperature_c=82)), r"reached 82 °C .* at 87 °C"),
    "shared_gpu": (result_of(CLEAN, unusual(other_gpu_processes=2)), r"up to 2, after 1 of 30 repetitions"),
    "busy_host": (result_of(CLEAN, unusual(other_cpus_busy=0.61)), r"0\.6 of 16 CPUs .* 0\.5 during 1 of 30"),
    "slow_host": (slowed(3, 1.5), r"around 3 of 30 repetitions: .* 1\.50 times the run's median of 0\.80 ms"),
    "recompiled": (
        result_of(CLEAN, unusual(compilations=2), unusual(compilations=1), unusual(compilations=0)),
        r"3 times during 2 of 3 repetitions",
    ),
    "no_limits": (
        dataclasses.replace(result_of(CLEAN), engine=EngineDescription(reads_weights=True)),
        r"the device's limits were not measured, so",
    ),
    "not_checked": (
        dataclasses.replace(result_of(CLEAN), engine=EngineDescription(reads_weights=True)),
        r"the timed answers of process 1, 2, 3 were not compared with the model's logits",
    ),
    "streamed_apart": (
        dataclasses.replace(result_of(CLEAN), latency=Latency("streamed", [0.1], [0.832], [[0.1]])),
        r"1\.30 times as long as a timed one \(0\.832 and 0\.64 s\)",
    ),
}


def test_a_clean_result_has_no_warning():
    assert codes(result_of(CLEAN)) == []


@pytest.mark.parametrize("code", CASES)
def test_each_warning_appears_with_its_figures(code):
    result, words = CASES[code]
    (finding,) = [finding for finding in check(result) if finding.code == code]
    assert re.search(words, finding.text), finding.text
    assert finding.remedy


def test_every_warning_is_tested():
    assert list(CASES) == [rule.code for rule in RULES]


def test_warm_ups_that_did_not_become_steady_are_reported():
    (finding,) = [f for f in check(result_of(CLEAN, steady=False)) if f.code == "first_call"]
    assert finding.text == "the warm-ups of process 1, 2, 3 did not become steady"


@pytest.mark.parametrize(
    "reading",
    [
        unusual(sm_clock_mhz=1965),  # one step of 15 MHz
        unusual(temperature_c=81),
        unusual(other_cpus_busy=0.5),
        Reading(),  # nothing could be read
    ],
    ids=["clock", "temperature", "busy", "unread"],
)
def test_readings_within_the_limits_are_no_reason(reading):
    assert codes(result_of(CLEAN, reading)) == []


def test_on_a_small_machine_a_tenth_of_the_cpus_is_the_limit():
    result = result_of(CLEAN, unusual(other_cpus_busy=0.21))
    result.environment = dataclasses.replace(result.environment, cpu_count=2)
    assert codes(result) == ["busy_host"]


def test_a_host_that_scatters_a_little_is_no_reason():
    assert codes(slowed(3, 1.15)) == []


@pytest.mark.parametrize(
    ("processes", "repetitions", "text"),
    [
        (2, 1, "78% of processes"),
        (4, 10, ", and do not show changes"),
        (28, 6, "10% of processes"),
        (29, 6, ""),
    ],
)
def test_a_run_says_what_its_numbers_miss(processes, repetitions, text):
    """Of n in which a state has the share p, none shows it with probability (1 - p)ⁿ: 5% at the share reported."""
    result = result_of([[100.0] * repetitions] * processes)
    found = [finding.text for finding in check(result) if finding.code == "rare_states"]
    assert [text in words for words in found] == [True] * bool(text)


def test_processes_in_any_other_order_are_no_drift():
    alternating = [IN_ORDER[n] for n in (0, 4, 1, 5, 2, 6, 3, 7)]
    assert "drift_across" not in codes(result_of(alternating))
    assert "drift_across" not in codes(result_of(IN_ORDER[:4]))


def test_a_trend_too_small_to_matter_is_no_drift():
    assert "drift" not in codes(result_of([[100 + 0.1 * n for n in range(10)]] * 3))


def test_a_drift_that_each_process_shares_is_found_though_none_shows_it_alone():
    speeds = [100.0 - step for step in (3, 0, 5, 1, 7, 2, 9, 4, 6, 8)]
    assert "drift" not in codes(result_of([speeds]))
    assert "drift" in codes(result_of([speeds] * 5))


def test_what_processes_differ_by_is_neither_outlier_nor_mode():
    assert codes(result_of(APART)) == ["wide_interval"]


def test_nothing_measured_is_nothing_found():
    assert check(result_of([])) == []
    assert check(result_of([[], []])) == []


def test_void_repetitions_are_not_used():
    result = result_of(CLEAN)
    result.runs[0].samples.append(Sample(60.0, 2, 3, unusual(temperature_c=90)))
    assert codes(result) == []


@pytest.mark.parametrize(("processes", "repetitions"), [(10, 10), (3, 10), (3, 5), (1, 10)])
def test_noise_alone_seldom_makes_a_statistical_warning(processes, repetitions):
    noise, results = random.Random(0), 400
    found = {"drift": 0, "drift_across": 0, "outliers": 0, "bimodality": 0, "first_call": 0}
    for _ in range(results):
        means = [noise.gauss(100, 3) for _ in range(processes)]
        result = result_of([[noise.gauss(mean, 5) for _ in range(repetitions)] for mean in means])
        for code in found.keys() & codes(result):
            found[code] += 1
    assert {code: n for code, n in found.items() if n > results / 20} == {}


def test_the_documented_warnings_are_those_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section("Warnings"), re.M)
    assert rows == [(rule.code, rule.remedy) for rule in RULES]


@pytest.mark.parametrize(("title", "data"), [("Readings", Reading), ("Energy", Energy)])
def test_the_documented_fields_are_those_of_the_schema(title, data):
    documented = re.findall(r"^\| `(\w+)` \|", section(title), re.M)
    assert documented == [field.name for field in dataclasses.fields(data)]


def test_warnings_are_computed_once_for_what_a_result_holds(monkeypatch):
    calls = []
    rule = dataclasses.replace(RULES[0], check=lambda result: calls.append(len(result.runs)))
    monkeypatch.setattr(warnings, "RULES", (rule,))
    result = result_of(CLEAN)
    for _ in range(5):
        check(result)
    assert calls == [3]
    result.runs.append(result.runs[0])
    check(result)
    result.limits = Limits(1.0, 1.0, 1.0, "float16", cache_bytes=0)
    check(result)
    assert calls == [3, 4, 4]
    check(dataclasses.replace(result))
    assert calls == [3, 4, 4, 4]
    assert "_findings" not in dataclasses.asdict(result)


def test_an_interrupted_run_has_no_remedy_for_passes_that_never_ran():
    result = result_of([CLEAN[0], CLEAN[1][:3]])
    result = dataclasses.replace(result, engine=EngineDescription(reads_weights=True))
    found = {finding.code: finding for finding in check(result)}
    assert found["no_limits"].remedy == "measure again, without `--quick`"
    assert "process 1, 2 " in found["not_checked"].text
    result.status = "interrupted"  # in the second process: the first was there to be checked, the limits were not
    found = {finding.code: finding for finding in check(result)}
    assert "no_limits" not in found
    assert "process 1 " in found["not_checked"].text
    assert found["few_samples"].remedy == warnings.TO_ITS_END
