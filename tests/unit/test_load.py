"""`bench.sh load` as users run it: the stub, a real engine, what cannot be, and what is left when it is ended."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench_deepspeed.benchmarks.load import efficiency, labels
from bench_deepspeed.benchmarks.load.targets.base import Setup
from bench_deepspeed.benchmarks.load.targets.sequential import SequentialTarget
from bench_deepspeed.worker import client


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--clients", "0"), "0 is not between 1 and"),
        (("--rates", "0"), "'0' is not a list of numbers above 0"),
        (("--clients", "1,x"), "'x' is neither a whole number nor a range"),
        (("--rates", "2,1"), "--rates must rise"),
        (("--spread", "300%"), "not a percentage"),
        (("--target", "async", "--engine", "transformers"), "--target async is made of mii"),
        (("--target", "serve", "-d", "cpu"), "leave out -d cpu, or use --target sequential"),
        (("--target", "sequential", "-d", "cpu", "--engine", "fake"), "--engine fake does not stream"),
        (("--target", "stub", "--tensor_parallel", "2"), "--target stub runs on one rank; sequential takes several"),
        (("--target", "sequential", "-d", "cpu", "-n", "smollm2", "--tensor_parallel", "4"), "3 ranks at most"),
        (("--trace", "t.jsonl", "--clients", "1"), "leave out --clients"),
        (("--trace", "t.jsonl", "--p99"), "leave out --p99"),
        (("--prompts", "p.txt", "--prompt_tokens", "3"), "leave out --prompt_tokens"),
        (("--target", "stub", "--prompts", "missing.txt"), "--prompts: cannot read missing.txt"),
        (("--target", "stub", "--trace", "missing.jsonl"), "--trace: cannot read missing.jsonl"),
        (("--timeout", "0"), "not a number of seconds"),
        (("--timeout", "1e300"), "not a number of seconds from 0.001 to 1,000,000"),
        (("--seconds", "1e-9"), "not a number of seconds"),
        (("--seconds", "nan"), "not a number of seconds"),
        (("--port", "80"), "not a port"),
        (("--slo", ""), "it names no limit"),
        (("--slo", "ttft_p99<500ms"), "'ttft_p99<500ms' is no limit such as those of"),
        (("--slo", "itl_p99<=5ms"), "'itl_p99<=5ms' is no limit such as those of"),
        (("--slo", "ttft_p10<=5ms"), "the percentile is p50 or more"),
        (("--slo", "ttft_p99<=0s"), "the limit above 0"),
        (("--slo", "e2e_p99<=1s e2e_p99<=2s"), "limits one percentile twice"),
        (("--slo", "mlperf:gpt-2"), "is none of MLPerf's: mlperf:llama2-70b,"),
        (("--slo", "e2e_p99<=1s", "--clients", "1"), "leave out --clients"),
        (("--slo", "e2e_p99<=1s", "--sla_ttft", "1"), "leave out --sla_ttft"),
        (("--slo", "e2e_p99<=1s", "--rates", "1,2"), "give --rates one"),
        (("--slo", "e2e_p99<=1s", "--rates", "1200"), "--slo searches up to 1,000 requests/s"),
    ],
)
def test_impossible_values_are_refused(bench, flags, problem):
    assert problem in bench.refusal(2, "load", *flags)


def test_an_engine_that_serves_one_by_one_may_have_several_ranks(tmp_path, monkeypatch):
    loaded = []

    class Worker:
        def __init__(self, *_: object):
            """Nothing is started."""

        def __enter__(self) -> Worker:
            return self

        def load(self, engine: str, settings: object) -> SimpleNamespace:
            loaded.append((engine, settings.tensor_parallel))
            return SimpleNamespace()

    monkeypatch.setattr(client, "WorkerProcess", Worker)
    setup = Setup("deepspeed", tmp_path, "cpu", "float32", tmp_path, 8, 30.0, tensor_parallel=2)
    SequentialTarget().open(setup, lambda *_: None)
    assert loaded == [("deepspeed", 2)]


@pytest.mark.parametrize(
    ("device", "ranks", "gpus"),
    [("cuda", {}, 1), ("cuda", {"tensor_parallel": 2}, 2), ("cpu", {"tensor_parallel": 2}, 1)],
)
def test_each_rank_has_a_gpu_of_its_own(device, ranks, gpus):
    result = SimpleNamespace(target={"name": "sequential"}, scenario={"device": device, **ranks}, gpus=None)
    assert efficiency.gpus(result) == gpus
    assert labels.ranks_of(result) == ranks.get("tensor_parallel", 1)
