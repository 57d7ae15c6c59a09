"""The command line, as a process: help, refusals, `--dry_run`, and what it imports."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common import scenario as cli
from bench_deepspeed.cli import parser
from bench_deepspeed.engines import DEFAULTS, engine_class


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
