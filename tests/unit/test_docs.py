"""The documents: every command works, every link leads somewhere, every list is the code's."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from support import FENCE, PAGES, README, ROOT, documented, section

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.benchmarks.load.records import Level, LoadResult, Record, SloTerm
from bench_deepspeed.benchmarks.referee.records import PacketCheck, RefereeResult, ToolRun, ToolVersion
from bench_deepspeed.benchmarks.sweep.records import SweepLoad, SweepResult, SweepScenario, SweepSettings
from bench_deepspeed.cli.commands import COMMANDS
from bench_deepspeed.core.errors import EXIT_CODES
from bench_deepspeed.measure.records import (
    Latency,
    Limits,
    Memory,
    Prefill,
    Profile,
    Result,
    Run,
    Sample,
    Scenario,
    Share,
)
from bench_deepspeed.model import catalog
from bench_deepspeed.results import flat

BLOCK = re.compile(r"^<!-- (\w+): \S+ -->\n.*?^<!-- /\1 -->$", re.M | re.S)


def prose(page: Path) -> str:
    """A page without its code and its generated blocks."""
    return BLOCK.sub("", FENCE.sub("", page.read_text()))


def test_exit_codes_are_those_of_the_code():
    reported = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", section("Exit codes"), re.M)}
    assert reported == EXIT_CODES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert dead_links(page.read_text(), page) == []


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("[a](README.md#try-it), ![b](docs/figures/), <https://example.org/x>, [c](https://example.org/x#y)", []),
        ("[a](none.md), [b](README.md#none), [c](#none)", ["none.md", "README.md#none", "#none"]),
        (
            "[a](http://example.org), [b](https://example), [c](file:///x)",
            ["http://example.org", "https://example", "file:///x"],
        ),
        ("a [name][1]\n\n[1]: none.md\n", ["none.md"]),
        ('<img src="none.svg"> and <a href="README.md">', ["none.svg"]),
        ("# Twice\n# Twice\n[a](#twice-1) [b](#twice-2)", ["#twice-2"]),
    ],
)
def test_a_dead_link_is_found(text, dead):
    assert dead_links(text, README) == dead


LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$|(?:href|src)=\"([^\"]+)\"|<(https?:[^>]+)>", re.M)
EXTERNAL = re.compile(r"https://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?")


def dead_links(text: str, page: Path) -> list[str]:
    """The links of a page that lead nowhere; of external ones, those that are not of the form of an https address."""
    links = ["".join(found) for found in LINK.findall(FENCE.sub("", text))]
    return [link for link in links if not (EXTERNAL.fullmatch(link) or is_there(link, text, page))]


def is_there(link: str, text: str, page: Path) -> bool:
    """Whether a relative link leads to a file or folder, and to a heading where it has an anchor."""
    target, _, anchor = link.partition("#")
    path = page.parent / target if target else page
    return path.exists() and (not anchor or anchor in anchors(path.read_text() if target else text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings; of equal headings all but the first have a number."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.M)
    names = [re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {name if (n := names[:i].count(name)) == 0 else f"{name}-{n}" for i, name in enumerate(names)}


SCHEMAS = [Latency, Limits, Prefill, Result, Scenario, Run, Sample, Profile, Share]
SCHEMAS += [SweepResult, SweepSettings, SweepScenario, SweepLoad]
SCHEMAS += [LoadResult, SloTerm, Level, Record]
SCHEMAS += [AbResult, Round]
SCHEMAS += [RefereeResult, ToolRun, ToolVersion, PacketCheck]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_field_is_documented(schema):
    assert documented(schema.__name__) == [field.name for field in dataclasses.fields(schema)]


def test_every_part_of_memory_is_documented():
    assert documented("Memory") == [field.name for field in dataclasses.fields(Memory)]


def test_every_fact_of_the_published_results_is_documented():
    for path in (ROOT / "docs" / "results").glob("*.json"):
        published = json.loads(path.read_text())
        for title in ("Model", "Engine", "Environment"):
            assert set(published[title.lower()]) <= set(documented(title)), path


def test_every_model_has_its_table():
    text = "".join(page.read_text() for page in PAGES)
    assert [name for name in ("all", *catalog.pinned()) if f"<!-- run: {name} -->\n" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_figure_is_typed_by_hand(page):
    assert re.findall(r"\d[\d.,]*(?: ± [\d.,]+)? ?(?:tokens/s|tokens per second|GB/s)", prose(page)) == []


RUN = ROOT / "docs" / "guide" / "run.md"
DEFINITIONS = (ROOT / "docs" / "definitions.md").read_text()
TOOLS = ["vLLM bench", "GuideLLM", "AIPerf", "GenAI-Perf", "llama-bench", "MLPerf Inference", "FastGen"]


def test_the_definitions_are_of_metrics_that_exist():
    columns = {name for kind in registry.kinds() for name in flat.columns_of(kind)}
    sections = re.findall(r"^## ([^\n]*)\n\n(.*?)(?=^## |\Z)", DEFINITIONS, re.M | re.S)
    assert sections[-1][0] == "Sources"
    for title, text in sections[:-1]:
        here = re.search(r"^Here.*?(?=\n\n)", text, re.M | re.S)
        assert here, title
        named = set(re.findall(r"`(\w+)`", here[0]))
        assert named <= columns, title
        assert named or title == "Percentiles"


def test_each_definition_is_compared_with_every_tool():
    """In their order, each with a source of the list unless it was not found; and every source is used."""
    sources = re.findall(r"^(\d+)\. \[", DEFINITIONS, re.M)
    assert sources == [str(n) for n in range(1, len(sources) + 1)]
    cited = {number for numbers in re.findall(r"\[(\d+(?:, \d+)*)\]", DEFINITIONS) for number in numbers.split(", ")}
    assert cited == set(sources)
    tables = re.findall(r"^\| tool \| .*\n\| --- \| --- \|\n((?:\|.*\n)+)", DEFINITIONS, re.M)
    rows = [re.findall(r"^\| (.*?) \| (.*) \|$", table, re.M) for table in tables]
    for table in rows:
        if len(table) == len(TOOLS):
            assert [tool for tool, _ in table] == TOOLS
        assert [tool for tool, text in table if not re.search(r"\[\d+(?:, \d+)*\]|not found|above|below", text)] == []
    assert sum(len(table) == len(TOOLS) for table in rows) == len(rows) - 1  # energy: one tool has it


def test_flags_are_those_of_the_help(bench):
    output = bench("--help", env={"COLUMNS": "200"}).stdout
    flag = re.compile(r"(?<![\w-])--?[a-z_]+")
    helped = [flag.findall(row) for row in re.findall(r"^  (-\S.*?)(?:\s{2,}|$)", output, re.M)]
    reported = [flag.findall(row) for row in re.findall(r"^\| (`-[^|]*) \|", RUN.read_text(), re.M)]
    assert sorted(reported) == sorted(helped)
    known = {name for row in helped for name in row}
    assert {name for row in re.findall(r"^\| `(-[^`]*)` \|", README.read_text(), re.M) for name in row.split()} <= known


def test_the_help_of_report_names_the_file_of_every_kind(bench):
    output = bench("report", "--help").stdout
    assert [kind.file for kind in registry.kinds() if kind.file not in output] == []


def test_the_readme_can_be_read_in_a_minute():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 900


def test_every_command_has_a_page_that_the_readme_leads_to():
    rows = re.findall(r"^\| [^|]*\? \| (.*) \| (.*) \|$", README.read_text(), re.M)
    named = {name for commands, _ in rows for name in re.findall(r"`(\w+)`", commands)}
    assert named == set(COMMANDS) - {"completion"}
