"""The documents: every command works, every link leads somewhere, every list is the code's."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT, Bench

from bench_deepspeed.benchmarks.ab.records import AbResult, Round
from bench_deepspeed.benchmarks.load.records import Level, LoadResult, Record
from bench_deepspeed.benchmarks.sweep.records import SweepLoad, SweepResult, SweepScenario, SweepSettings
from bench_deepspeed.core.errors import EXIT_CODES
from bench_deepspeed.machine.environment import host_facts, torch_facts
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

README = ROOT / "README.md"
METHODOLOGY = ROOT / "docs" / "methodology.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^<!-- (\w+): \S+ -->\n.*?^<!-- /\1 -->$", re.M | re.S)


def commands() -> Iterator[str]:
    """The lines of every ```bash block, continued lines joined."""
    for page in PAGES:
        for language, body in FENCE.findall(page.read_text()):
            if language == "bash":
                yield from filter(None, body.replace("\\\n", "").splitlines())


def prose(page: Path) -> str:
    """A page without its code and its generated blocks."""
    return BLOCK.sub("", FENCE.sub("", page.read_text()))


def section(title: str) -> str:
    """What stands under a heading of the methodology, up to the next heading."""
    return re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", METHODOLOGY.read_text(), re.M | re.S)[1]


def documented(title: str) -> list[str]:
    """The names in the first column of the table under a heading."""
    first = re.findall(r"^\| (`[^|]*`) \|", section(title), re.M)
    return re.findall(r"`(\w+)`", " ".join(first))


def run_bench(arguments: list[str], env: dict[str, str], bench: Bench) -> None:
    """Really run what is cheap and writes nothing; of a benchmark, only the plan."""
    env = {**env, "HF_HUB_OFFLINE": "1"}
    if arguments[:1] == ["report"]:
        arguments = report_arguments(arguments, bench)
    elif arguments[:1] == ["quality"]:
        asked = bench.cwd / "questions.json"
        asked.write_text('{"max_tokens": 2, "questions": [{"prompt": "Hello"}]}')
        arguments = [*arguments, "--questions", str(asked), "--output_dir", str(bench.cwd)]
    elif arguments[:1] == ["ab"] and "cuda" not in arguments:
        short = ["--processes", "2", "--rounds", "1", "-m", "2", "--warmups", "1"]
        arguments = [*arguments, *short, "--output_dir", str(bench.cwd)]
    elif arguments[:1] == ["load"]:
        short = ["--clients", "1", "--seconds", "0.5", "--prompt_tokens", "4", "-m", "2"]
        arguments = [*arguments, *short, "--output_dir", str(bench.cwd)]
    elif arguments[:1] == ["selftest"]:
        arguments = [*arguments, "-d", "cpu", "--engine", "fake", "--budget", "1", "--output_dir", str(bench.cwd)]
    elif "fake" in arguments:
        arguments = [*arguments, "--output_dir", str(bench.cwd)]
    elif arguments[:1] not in (["doctor"], ["compare"], ["results"]) and "--help" not in arguments:
        arguments = [*arguments, "--dry_run"]
    if "cuda" in arguments:
        env["PATH"] = f"{folder_with_gpu(bench.cwd)}{os.pathsep}{os.environ['PATH']}"
    done = bench(*arguments, env=env, cwd=ROOT)
    assert done.returncode == 0 or "not shown for" in done.stderr, done  # a busy machine shows nothing
    assert "Traceback" not in done.stderr


def report_arguments(arguments: list[str], bench: Bench) -> list[str]:
    """As they stand, but the documents are compared only, and files go to the test's folder."""
    if "--format" not in arguments:
        return ["report", "--check"]
    if "--output" in arguments:
        place = arguments.index("--output") + 1
        arguments[place] = str(bench.cwd / arguments[place])
    return arguments


def folder_with_gpu(folder: Path) -> Path:
    """A folder for PATH whose nvidia-smi lists a GPU, on whatever machine the tests run."""
    script = folder / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'NVIDIA Test, 9.0, 81920, 580.1'\n")
    script.chmod(0o755)
    return folder


def check_script(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)


def check_pip(arguments: list[str]) -> None:
    files = [value for flag, value in itertools.pairwise(arguments) if flag == "-r"]
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_commands_work(command, bench):
    words = shlex.split(command, comments=True)
    settings = list(itertools.takewhile(lambda word: re.match(r"\w+=", word), words))
    env = dict(setting.split("=", 1) for setting in settings)
    env.pop("BENCH_PYTHON", None)  # the tests' own
    program, *arguments = words[len(settings) :]
    if program == "./bench_deepspeed/bench.sh":
        run_bench(arguments, env, bench)
    elif program == "pip":
        check_pip(arguments)
    else:
        assert program in {"./setup.sh", "./tests/run.sh"}, "no check is known for this command"
        check_script(program)


def test_the_commands_that_must_be_there_are():
    found = set(commands())
    wanted = {"./bench_deepspeed/bench.sh -d cuda -n llama", "./bench_deepspeed/bench.sh -r 3 -m 32", "./tests/run.sh"}
    assert wanted <= found


def test_ci_runs_the_tests():
    check_script(".ci/run")
    assert "./tests/run.sh" in (ROOT / ".ci" / "run").read_text()


def test_flags_are_those_of_the_help(bench):
    output = bench("--help", env={"COLUMNS": "200"}).stdout
    flag = re.compile(r"(?<![\w-])--?[a-z_]+")
    helped = [flag.findall(row) for row in re.findall(r"^  (-\S.*?)(?:\s{2,}|$)", output, re.M)]
    told = [flag.findall(row) for row in re.findall(r"^\| (`-[^|]*) \|", README.read_text(), re.M)]
    assert sorted(told) == sorted(helped)


def test_exit_codes_are_those_of_the_code():
    told = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", section("Exit codes"), re.M)}
    assert told == EXIT_CODES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"https://", link):
            continue
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


SCHEMAS = [Latency, Limits, Prefill, Result, Scenario, Run, Sample, Profile, Share]
SCHEMAS += [SweepResult, SweepSettings, SweepScenario, SweepLoad]
SCHEMAS += [LoadResult, Level, Record]
SCHEMAS += [AbResult, Round]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_field_is_documented(schema):
    assert documented(schema.__name__) == [field.name for field in dataclasses.fields(schema)]


def test_every_fact_of_the_environment_is_documented():
    only_on_cuda = {"gpu_used", "driver_cuda", "gpu_slowdown_c"}
    facts = {**host_facts(), **torch_facts("cpu")}
    assert set(facts) | only_on_cuda <= set(documented("Environment"))


def test_every_part_of_memory_is_documented():
    assert documented("Memory") == [field.name for field in dataclasses.fields(Memory)]


def test_every_fact_of_the_published_results_is_documented():
    for path in (ROOT / "docs" / "results").glob("*.json"):
        published = json.loads(path.read_text())
        for title in ("Model", "Engine", "Environment"):
            assert set(published[title.lower()]) <= set(documented(title)), path


def test_every_model_has_its_table():
    text = "".join(page.read_text() for page in PAGES)
    assert [name for name in ("all", *catalog.names()) if f"<!-- results: {name} -->\n" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_figure_is_typed_by_hand(page):
    assert re.findall(r"\d[\d.,]*(?: ± [\d.,]+)? ?(?:tokens/s|tokens per second|GB/s)", prose(page)) == []


def test_no_machine_and_no_registry_is_named():
    # In pieces, so that this file does not name them either.
    folders = [
        "/" + "/".join(parts) for parts in (("work", "main"), ("work", "shared"), ("root", ""), ("tmp", "proto"))
    ]
    hosts = [first + last for first, last in (("py", "pi.org"), ("python", "hosted"), ("download.", "pytorch.org"))]
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [ROOT / name for name in names if (ROOT / name).is_file()]
    assert README in files
    found = [(file, text) for file in files for text in (*folders, *hosts) if text in file.read_text(errors="replace")]
    assert found == []
