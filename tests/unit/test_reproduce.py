"""The commands under "Reproduce": each published result without a recorded command has one with its settings."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex

import pytest
from support import FENCE, PAGES, ROOT

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.ab.plan import new_result, plan_of
from bench_deepspeed.benchmarks.common.scenario import scenario_of
from bench_deepspeed.benchmarks.load.records import Workload
from bench_deepspeed.benchmarks.load.workload import workload_of
from bench_deepspeed.benchmarks.sweep import plan
from bench_deepspeed.cli import parser
from bench_deepspeed.results import files

KINDS = ("run", "sweep", "load", "ab")


def reproducing() -> list[list[str]]:
    """The arguments of each command under that heading, of every page."""
    sections = (re.findall(r"^## Reproduce\n(.*?)(?=^## )", page.read_text(), re.M | re.S) for page in PAGES)
    blocks = (body for found in sections for text in found for _, body in FENCE.findall(text))
    lines = (line for body in blocks for line in body.replace("\\\n", " ").splitlines())
    return [shlex.split(line)[1:] for line in lines]


def settings_of_command(argv: list[str]) -> object:
    """What a command would measure, without what it would not record."""
    options = parser.parse(argv)
    options.dry_run = True  # a plan needs no GPU
    if options.command == "run":
        return dataclasses.replace(scenario_of(options), quick=False)
    if options.command == "sweep":
        return plan.settings_of(options)
    if options.command == "load":
        levels = [(clients, None) for clients in options.clients or []] + [(None, rate) for rate in options.rates or []]
        scenario = scenario_of(options)
        return workload(vars(workload_of(scenario, options))), asked(vars(scenario)), options.target, levels
    if options.command == "ab":
        made = new_result(plan_of(options), options, "")
        return made.a.scenario, made.b.scenario, made.asked
    return None


def settings_of_content(kind: str, content) -> object:
    """The same, from a saved result."""
    if kind == "run":
        return dataclasses.replace(content.scenario, quick=False)
    if kind == "sweep":
        return content.settings
    if kind == "load":
        levels = [(level.clients, level.rate) for level in content.levels]
        return workload(content.workload), asked(content.scenario), content.target["name"], levels
    return content.a.scenario, content.b.scenario, content.asked


def asked(scenario: dict) -> dict:
    return {name: scenario[name] for name in ("model", "engine", "device", "precision", "weights", "seed")}


def workload(of: dict) -> dict:
    """Without what a file held: how many requests, or the requests; with what older files lack."""
    held = ("trace", "trace_requests", "trace_blocks", "trace_blocks_shared", "prompts", "answers")
    defaults = {one.name: one.default for one in dataclasses.fields(Workload) if one.default is not dataclasses.MISSING}
    return {name: value for name, value in (defaults | of).items() if name not in held}


@pytest.fixture(scope="module")
def commands() -> list[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "require_gpu", lambda: None)
        return [settings_of_command(argv) for argv in reproducing() if argv[0] != "report"]


@pytest.mark.parametrize(
    "path",
    [path for kind in KINDS for path in files.published_of(registry.kind(kind))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_a_published_result_has_a_command_with_its_settings(path, commands):
    kind = registry.kind_of(json.loads(path.read_text()))
    content = kind.load(path)
    assert content.environment.command or settings_of_content(kind.name, content) in commands
