"""What commands print, as the documents show it: made from results, 80 columns wide, on the page of each command."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from builders import result
from support import README, ROOT

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.report.terminal import render
from bench_deepspeed.results import files as result_files
from bench_deepspeed.results.captures import COLUMNS, FIRST, Captures

GUIDE = ROOT / "docs" / "guide"
CAPTURE = re.compile(r"^<!-- terminal: (\S+) -->\n```text\n(.*?)\n```\n<!-- /terminal -->$", re.M | re.S)
DEPENDS_ON_THE_MACHINE = {"machine.md"}
"""Pages of commands whose output is about the machine that they run on: no committed result has it."""


@pytest.fixture
def captures(files, tmp_path) -> Captures:
    return Captures(result_files.read(files), tmp_path)


@pytest.mark.parametrize("page", [README, *sorted(GUIDE.glob("*.md"))], ids=lambda page: page.name)
def test_the_page_of_a_command_shows_what_it_prints(page: Path):
    found = CAPTURE.findall(page.read_text())
    assert bool(found) == (page.name not in DEPENDS_ON_THE_MACHINE)
    for name, text in found:
        assert max(map(len, text.splitlines())) <= COLUMNS, name
        if page != README:
            command = {"results": "verify"}.get(page.stem, page.stem)
            assert name.split("/")[0] == command


@pytest.mark.parametrize("kind", [kind for kind in registry.KINDS if kind != "selftest"])  # which nothing builds
def test_a_capture_is_the_beginning_of_what_the_command_prints(captures, files, kind):
    (item,) = [item for item in result_files.read(files) if item.kind.name == kind]
    text = captures.find(f"{kind}/{item.path.stem}")
    assert text
    assert render(item.kind.view(item.content), COLUMNS).startswith(text)


def test_every_kind_has_captures():
    assert set(FIRST) == {*registry.KINDS, "compare"}


def test_two_runs_are_compared(captures, files):
    (run,) = [path.stem for path in files if path.stem == "result"]
    text = captures.find(f"compare/{run}/{run}")
    assert text.startswith("a  docs/results/result.json\nb  docs/results/result.json\n")


def test_a_document_compares_comparable_results_only(tmp_path):
    for name, processes in (("one", 1), ("two", 1)):
        made = result(processes=processes)
        made.scenario = dataclasses.replace(made.scenario, max_tokens=9) if name == "two" else made.scenario
        made.save(tmp_path / f"{name}.json")
    captures = Captures(result_files.read(sorted(tmp_path.glob("*.json"))), tmp_path)
    with pytest.raises(BenchError, match="not comparable: .*max_tokens: 8 in"):
        captures.find("compare/one/two")


def test_files_of_a_kind_are_verified(captures):
    assert captures.find("verify/sweep").startswith("docs/results/sweep.json: ")


@pytest.mark.parametrize(
    "name", ["run", "run/none", "none/result", "compare/result", "verify/none", "sweep/sweep/sweep"]
)
def test_another_name_is_of_no_capture(captures, name):
    assert captures.find(name) is None
