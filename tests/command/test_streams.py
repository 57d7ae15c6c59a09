"""Standard output and standard error: closed, full, or hostile text on its way to them."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import subprocess
import sys

import pytest
from builders import result
from support import BENCH

from bench_deepspeed.__main__ import main

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x08\x9b2J\u202egnp\u2028 <b>bold</b> | `x`\nnext"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
RUN = ("-d", "cpu", "--engine", "fake", "--processes", "1", "-r", "1", "-m", "2", "--output_dir", "out")
UNREADABLE = {
    ">&-": 0,
    "2>&-": 0,
    "<&- >&- 2>&-": 0,
    "2>/dev/full": 0,
    ">/dev/full": 3,
    ">/dev/full 2>/dev/full": 3,
}


def shell(bench, redirection: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run bench.sh with a redirection that only a shell can make."""
    return bench.finish(bench.start("-c", f'exec "$0" "$@" {redirection}', BENCH, *arguments, program="bash"))


@pytest.mark.parametrize("redirection", UNREADABLE)
def test_a_measurement_without_readable_output_is_complete(bench, tmp_path, redirection):
    done = shell(bench, redirection, *RUN)
    assert done.returncode == UNREADABLE[redirection], done
    (path,) = tmp_path.rglob("result.json")
    assert json.loads(path.read_text())["status"] == "complete"
    assert "Traceback" not in done.stderr
    if redirection == ">/dev/full":
        expected = "bench.sh: error: cannot write to standard output: No space left on device"
        assert done.stderr.splitlines()[-1] == expected


@pytest.mark.parametrize("command", [("--help",), ("results",), ("report", "--format", "csv"), ("doctor",)])
def test_output_that_does_not_arrive_is_exit_code_3(bench, command):
    done = shell(bench, ">/dev/full", *command)
    assert done.returncode == 3
    assert done.stderr == "bench.sh: error: cannot write to standard output: No space left on device\n"


@pytest.fixture
def hostile(tmp_path):
    """Two results in folders of runs, hostile in each text that a result may hold freely."""
    one = result(processes=2)
    one.status, one.error = "failed", HOSTILE
    one.environment = dataclasses.replace(one.environment, cpu=HOSTILE, gpu_used=HOSTILE, commit=HOSTILE)
    one.engine = dataclasses.replace(one.engine, name=HOSTILE)
    one.model["title"] = HOSTILE
    one.scenario = dataclasses.replace(one.scenario, prompt=HOSTILE)
    paths = []
    for day in (1, 2):
        folder = tmp_path / "logs" / "llama" / f"2026-01-0{day}T10-00-00"
        folder.mkdir(parents=True)
        paths.append(folder / "result.json")
        one.save(paths[-1])
    return paths


@pytest.mark.parametrize(
    "command",
    [
        ("results", "--output_dir", "logs"),
        ("results", "--output_dir", "logs", "llama/2026-01-01T10-00-00"),
        ("compare", "{0}", "{1}", "--force"),
        ("report", "{0}", "{1}", "--format", "markdown"),
        ("results", "--output_dir", f"lo{HOSTILE}gs".replace("\n", "")),
        ("compare", "{0}", f"no{HOSTILE}file"),
        ("-n", HOSTILE),
        (HOSTILE,),
    ],
    ids=lambda command: command[0][:7],
)
def test_no_text_reaches_the_terminal_with_control_characters(bench, hostile, command):
    done = bench(*(word.format(*hostile) for word in command))
    assert done.returncode in (0, 2), done
    for text in (done.stdout, done.stderr):
        assert not CONTROL.search(text), ascii(text)
    assert "red" in done.stdout + done.stderr
    if done.returncode:
        assert done.stderr.count("\n") == 1
    if "markdown" in command:
        assert "<b>" not in done.stdout


@pytest.mark.parametrize("form", ["csv", "jsonl", "html", "markdown"])
def test_what_programs_read_is_the_same_on_standard_output_as_in_a_file(bench, tmp_path, form):
    path = tmp_path / "result.json"
    one = result()
    one.environment = dataclasses.replace(one.environment, cpu="A\x85B\u200e\x7f")
    one.save(path)
    assert bench("report", path, "--format", form, "--output", "file").returncode == 0
    done = bench("report", path, "--format", form)
    assert done.stdout == (tmp_path / "file").read_text()


@pytest.mark.parametrize("command", [("results", "--output_dir", "logs"), ("compare", "{0}", "{1}", "--force")])
def test_json_on_standard_output_is_json_whatever_is_in_it(bench, hostile, command):
    done = bench(*(word.format(*hostile) for word in command), "--json")
    json.loads(done.stdout)


def test_bytes_that_are_not_utf_8_are_shown_as_escapes_or_refused(bench, tmp_path):
    done = bench(*RUN, "-lf", os.fsdecode(b"log\xff"), env={"BENCH_COMMIT": os.fsdecode(b"v\xff")})
    assert done.returncode == 0, done
    assert "log?" in done.stdout
    (path,) = tmp_path.rglob("result.json")
    assert json.loads(path.read_text())["environment"]["commit"] == "v?"
    folder = os.fsdecode(b"out\xff")
    assert "the path is not UTF-8 text" in bench.refusal(2, *RUN[:-1], folder)
    assert not (tmp_path / folder).exists()
    missing = os.fsdecode(b"no\xfffolder")
    assert "no\\udcfffolder" in bench.refusal(2, "compare", missing, missing)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_an_error_fills_the_lines_of_a_terminal_and_is_one_line_for_a_program(monkeypatch, on_terminal):
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: on_terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    assert main(["--nonsense", "x" * 30, "y" * 30]) == 2
    lines = stderr.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines).startswith("bench.sh: error: unrecognized arguments: --nonsense")
    assert (len(lines) > 1, max(map(len, lines)) <= 80) == (on_terminal, on_terminal)
