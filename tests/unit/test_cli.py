"""The command line, as a process: help, refusals, `--dry_run`, and what it imports."""

from __future__ import annotations

import os

import pytest
from builders import gpu_path

from bench_deepspeed.benchmarks.common import scenario as cli
from bench_deepspeed.cli import parser
from bench_deepspeed.engines import DEFAULTS, engine_class
from bench_deepspeed.machine import environment


def test_defaults_are_those_that_help_shows():
    options = parser.parse(["-d", "cpu"])
    scenario = cli.scenario_of(options)
    assert (scenario.prompt, scenario.weights, scenario.warmups, scenario.seed) == (cli.PROMPT, "pretrained", None, 0)
    assert (scenario.processes, scenario.target_ci, scenario.time_budget_s) == (cli.PROCESSES, None, None)
    assert (scenario.repetitions, scenario.max_tokens) == (cli.REPETITIONS["cpu"], cli.MAX_TOKENS["cpu"])
    assert (scenario.model, scenario.engine, scenario.precision) == ("smollm2", "deepspeed", "float32")
    assert engine_class(DEFAULTS["cuda"]).precisions["cuda"][0] == "float16"


def test_a_target_is_a_share_and_has_a_budget():
    scenario = cli.scenario_of(parser.parse(["-d", "cpu", "--target_ci", "0.5%", "--processes", "4"]))
    assert (scenario.processes, scenario.target_ci, scenario.time_budget_s) == (4, 0.005, cli.TIME_BUDGET_S)
    scenario = cli.scenario_of(parser.parse(["-d", "cpu", "--target_ci", "2%", "--time_budget", "60"]))
    assert (scenario.target_ci, scenario.time_budget_s) == (0.02, 60)


def test_the_quality_check_has_the_settings_that_it_does_not_ask_for():
    scenario = cli.scenario_of(parser.parse(["quality", "-d", "cpu"]))
    assert (scenario.prompt, scenario.warmups, scenario.target_ci) == (cli.PROMPT, 0, None)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], "smollm2 deepspeed cpu float32", id="none"),
        pytest.param(["Big GPU, 9.0, 143771, 570.1"], "llama mii cuda float16", id="new"),
        pytest.param(["Very New GPU, 12.0, 97887, 580.1"], "llama mii cuda float16", id="two digits"),
        pytest.param(["Old GPU, 7.5, 15360, 535.1"], "smollm2 deepspeed cpu float32", id="too old for MII"),
        pytest.param(["Odd GPU, [N/A], 15360, 535.1"], "smollm2 deepspeed cpu float32", id="capability unknown"),
    ],
)
def test_the_default_device_is_one_that_mii_can_use(tmp_path, monkeypatch, rows, expected):
    for name, value in gpu_path(tmp_path, *rows).items():
        monkeypatch.setenv(name, value)
    scenario = cli.scenario_of(parser.parse([]))
    assert f"{scenario.model} {scenario.engine} {scenario.device} {scenario.precision}" == expected


@pytest.mark.parametrize(
    ("visible", "free"),
    [(None, 1000), ("1", 2000), ("1,0", 2000), ("GPU-two", 2000), ("", None), ("-1", None)],
)
def test_free_memory_is_that_of_the_visible_gpu(tmp_path, monkeypatch, visible, free):
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\ncase $1 in --id=0) echo 1000;; --id=1|--id=GPU-two) echo 2000;; *) exit 6;; esac\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.free_memory_bytes("cuda") == (free and free * 2**20)
