"""`--quick`: one number and nothing else; and the speed of any run as soon as it is known."""

from __future__ import annotations

import pytest
from support import result_in

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.scenario import QUICK

LEFT_OUT = ("limits", "latency", "prefill", "energy")


def saved(folder) -> dict:
    """The result of a quick run: nothing but its samples."""
    result = result_in(folder)
    assert [result[name] for name in LEFT_OUT] == [None] * len(LEFT_OUT)
    assert result["profiles"] == []
    assert all(value in (None, "fake", []) for value in result["memory"].values())
    return result


def test_a_quick_run_is_one_short_process_and_says_what_it_left_out(bench, tmp_path):
    done = bench("--quick", "-d", "cpu", "--engine", "fake", "--output_dir", "out")
    assert done.returncode == 0, done
    result = saved(tmp_path)
    (run,) = result["runs"]
    assert [sample["new_tokens"] for sample in run["samples"]] == [QUICK["max_tokens"]] * 3
    assert len(run["warmups"]) == 1
    assert "quick: a first number. Not measured: prefill, latency," in " ".join(done.stdout.split())
    said = done.stderr.index("tokens/s; now the tokens that were timed are checked")
    assert said < done.stderr.index("checking the timed answers")
    (path,) = tmp_path.rglob("result.json")
    kind = registry.kind("run")
    assert kind.refusal(kind.load(path)) is not None


def test_flags_say_otherwise(bench, tmp_path):
    flags = ("--processes", "2", "-r", "1", "-m", "4", "--warmups", "0")
    done = bench("--quick", *flags, "-d", "cpu", "--engine", "fake", "--output_dir", "out")
    assert done.returncode == 0, done
    runs = saved(tmp_path)["runs"]
    assert [[sample["new_tokens"] for sample in run["samples"]] for run in runs] == [[4], [4]]
    assert [run["warmups"] for run in runs] == [[], []]


def test_no_answer_can_be_requested(bench):
    assert "--quick" in bench.refusal(2, "--quick", "--fail_on_quality", "-d", "cpu", "-n", "smollm2")


def test_a_plan_says_that_nothing_else_is_measured(bench):
    done = bench("--quick", "-d", "cpu", "-n", "smollm2", "--dry_run")
    assert f"3 repetitions of {QUICK['max_tokens']} tokens" in done.stdout
    assert "and nothing else" in done.stdout
    assert "quality" not in done.stdout


@pytest.mark.parametrize("processes", [1, 2])
def test_the_speed_is_said_before_anything_else_is_measured(bench, tmp_path, processes):
    behaviour = {"seconds": [2.0], "virtual": True}
    done = bench.fake("-r", "2", "-m", "4", "--processes", processes, behaviour=behaviour)
    assert done.returncode == 0, done
    before, latency, _ = done.stderr.partition("measuring latency")
    assert latency
    bounds = " [2.00, 2.00]" if processes == 2 else ""
    assert f"smollm2 fake float32: 2.00{bounds} tokens/s" in before
    assert f"smollm2 fake float32: 2.00{bounds} tokens/s" in next(tmp_path.rglob("performance.log")).read_text()
