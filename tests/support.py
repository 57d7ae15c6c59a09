"""bench.sh as users run it, an engine of known latency, and waiting without a guess."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import psutil

from bench_deepspeed.__main__ import run
from bench_deepspeed.benchmarks.ab.records import AbResult
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.benchmarks.selftest.measure import KNOWN_S
from bench_deepspeed.benchmarks.sweep.records import SweepResult

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench_deepspeed" / "bench.sh"
MARKER = "BENCH_TEST_MARKER"
DEADLINE_S = 120  # of a wait for something that takes seconds: only a hang reaches it


def no_progress(label: str, done: int, total: int) -> None:
    """A `Progress` that nobody watches."""


def wait_until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> object:
    """Poll until the condition holds, and return what it returned."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {deadline_s} s in vain"
        time.sleep(0.02)
    return value


class Refusals:
    """What is expected of a refused command line, however it is run."""

    def refusal(self, code: int, *arguments: str | Path, **options) -> str:
        """Run what must be refused before anything starts: one line on stderr, which is returned."""
        done = self(*arguments, **options)
        assert done.returncode == code, done
        assert done.stdout == "", done
        return self.one_error(done)

    @staticmethod
    def one_error(done: subprocess.CompletedProcess) -> str:
        """The message of a process whose whole stderr is one error line."""
        assert done.stderr.endswith("\n"), done
        assert done.stderr.count("\n") == 1, done.stderr
        return error_of(done.stderr)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """The block runs in that folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class InProcess(Refusals):
    """A command line run in this process: for commands that start no process of their own."""

    def __init__(self, cwd: Path):
        self.cwd = cwd

    def __call__(
        self, *arguments: str | Path, env: dict | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess:
        """Run it to its end."""
        argv = list(map(str, arguments))
        output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (
            _inside(cwd or self.cwd),
            mock.patch.dict(os.environ, {"BENCH_PYTHON": sys.executable, **(env or {})}),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            try:
                code = run(argv)
            except SystemExit as end:  # how argparse ends after the help
                code = end.code
        for stream in (output, errors):
            stream.flush()
        return subprocess.CompletedProcess(argv, code, *(s.buffer.getvalue().decode() for s in (output, errors)))


@dataclass
class Bench(Refusals):
    """bench.sh as a real process, in a folder of the test's own, on the Python that runs the tests."""

    cwd: Path
    script: Path = BENCH
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: list[subprocess.Popen] = field(default_factory=list)

    def start(
        self, *arguments: str | Path, env: dict | None = None, cwd: Path | None = None, program: str | None = None
    ) -> subprocess.Popen:
        """Start it and do not wait."""
        process = subprocess.Popen(
            [program or str(self.script), *map(str, arguments)],
            env={**os.environ, "BENCH_PYTHON": sys.executable, MARKER: self.marker, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.cwd,
        )
        self.started.append(process)
        return process

    def __call__(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess:
        """Run it to its end."""
        return self.finish(self.start(*arguments, **options))

    def fake(self, *arguments: str | Path, behaviour: dict | None = None, **options) -> subprocess.CompletedProcess:
        """Run the fake engine to its end. `behaviour` is the value of BENCH_FAKE."""
        return self.finish(self.start_fake(*arguments, behaviour=behaviour, **options))

    def start_fake(self, *arguments: str | Path, behaviour: dict | None = None, **options) -> subprocess.Popen:
        """Start the fake engine and do not wait; by default one process, with its results below `out`."""
        env = {"BENCH_FAKE": json.dumps(behaviour or {}), **options.pop("env", {})}
        flags = ("-d", "cpu", "--engine", "fake", "--processes", "1", "--output_dir", "out")
        return self.start(*flags, *arguments, env=env, **options)

    @staticmethod
    def finish(process: subprocess.Popen) -> subprocess.CompletedProcess:
        """Wait for the end of what `start` started."""
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def require_none_left(self) -> None:
        """Nothing that was started runs any more; the kernel takes a moment to end what was killed."""
        wait_until(lambda: self.processes() == [], 10)

    def processes(self) -> list[psutil.Process]:
        """All that descends from what this test started and still runs, whoever its parent is by now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARKER) == self.marker
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def error_of(stderr: str) -> str:
    """The message of the last line of stderr, which must be the only error line there."""
    assert "Traceback" not in stderr
    errors = [line for line in stderr.splitlines() if line.startswith("bench.sh: error: ")]
    assert errors == stderr.splitlines()[-1:], stderr
    return errors[0].removeprefix("bench.sh: error: ")


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of five words, two of which are "deep" and "speed"."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", "deep", "speed"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)


def saved_ab(folder: Path) -> AbResult:
    """The only comparison below `out`."""
    (path,) = folder.glob("out/*/ab/*/ab.json")
    return AbResult.load(path)


def fake_side(**behaviour) -> str:
    """The fake engine with a behaviour of its own."""
    return f"engine=fake env.BENCH_FAKE='{json.dumps(behaviour)}'"


LIBRARIES = {"torch", "transformers", "deepspeed", "mii"}


STATISTICS = {"numpy", "scipy", "diptest", "altair", "vl_convert", "jinja2"}


def gpu_path(folder: Path, *rows: str) -> dict[str, str]:
    """The environment of a machine whose nvidia-smi answers every question with these rows."""
    script = folder / "nvidia-smi"
    script.write_text("#!/bin/sh\n" + "".join(f"echo '{row}'\n" for row in rows))
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def imported_by(*arguments: str, cwd: Path) -> set[str]:
    """The modules that the suite's own process imports; what a worker imports is not among them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bench_deepspeed", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BENCH_PYTHON": sys.executable},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "bench_deepspeed.cli.parser" in modules
    return modules


README = ROOT / "README.md"


PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]


FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def section(title: str) -> str:
    """What stands under a heading of the method or the reference, up to the next heading."""
    pages = (
        page.read_text() for folder in ("method", "reference") for page in sorted((ROOT / "docs" / folder).iterdir())
    )
    heading = re.compile(rf"^##+ {re.escape(title)}\n(.*?)(?=^#|\Z)", re.M | re.S)
    (text,) = [body for page in pages for body in heading.findall(page)]
    return text


def documented(title: str) -> list[str]:
    """The names in the first column of the table under a heading."""
    first = re.findall(r"^\| (`[^|]*`) \|", section(title), re.M)
    return re.findall(r"`(\w+)`", " ".join(first))


def saved_load(folder: Path) -> LoadResult:
    (path,) = folder.glob("out/*/load/*/load.json")
    return LoadResult.load(path)


def selftest_report(folder) -> dict:
    (path,) = folder.glob("out/selftest/*/selftest.json")
    return json.loads(path.read_text())


def check_selftest(done, report: dict, name: str) -> None:
    """What holds on an idle machine and on a busy one."""
    assert done.returncode in (0, 1), done
    *known, nested, real = report["comparisons"]
    assert [comparison["asked_s"] for comparison in known] == list(KNOWN_S)
    for comparison in known:
        assert min(comparison["harness_s"]) >= comparison["asked_s"]
    assert [(c["name"], c["asked_s"]) for c in (nested, real)] == [
        (f"{name}, nested", None),
        (f"{name}, interleaved", None),
    ]
    assert all(whole > inner for whole, inner in zip(nested["harness_s"], nested["bare_s"], strict=True))
    for comparison in report["comparisons"]:
        assert len(comparison["harness_s"]) == len(comparison["bare_s"]) > 0
        assert comparison["verdict"] in ("pass", "fail", "not shown")
        assert comparison["name"] in done.stdout
    *decisive, in_turn = [comparison["verdict"] for comparison in report["comparisons"]]
    passed = set(decisive) == {"pass"} and in_turn != "fail"
    assert (done.returncode == 0) == passed
    assert passed or error_of(done.stderr)


def sweep_path(folder: Path) -> Path | None:
    return next(folder.glob("out/*/*/sweep.json"), None)


def sweep_of(folder: Path) -> SweepResult:
    """The only sweep below `out`."""
    (path,) = folder.glob("out/*/*/sweep.json")
    return SweepResult.load(path)


def unwrapped(text: str) -> str:
    """Text without its line breaks, wherever they are."""
    return " ".join(text.split())


def titles(stdout: str) -> list[str]:
    """The columns of the printed table."""
    line = next(line for line in stdout.splitlines() if line.startswith("|"))
    return [cell.strip() for cell in line.strip("|").split("|")]


STUB = ("load", "--target", "stub", "--output_dir", "out")


def behave(**behaviour) -> dict[str, str]:
    return {"BENCH_STUB": json.dumps({"first_s": 0.002, "gap_s": 0.001, **behaviour})}


FEW = ("--max_tokens", "2", "-r", "1")


SHORTEST = {
    "run": ("-d", "cpu", "--engine", "fake", "--processes", "1", "--warmups", "0", *FEW),
    "sweep": (
        "sweep",
        "-d",
        "cpu",
        "--engines",
        "fake",
        "--batch_sizes",
        "1",
        "--prompt_tokens",
        "8,9",
        "--processes",
        "1",
        *FEW,
    ),
    "load": ("load", "-d", "cpu", "--target", "stub", "--seconds", "2", "--clients", "1", "-m", "2"),
}
"""Command → the least that it can measure with nothing real."""
MEASURED_LOAD = ROOT / "docs" / "results" / "loads" / "smollm2-questions-h100.json"
"""A load test with a median at each level; a test of two seconds on a busy machine may have none, and no chart."""


def result_in(folder: Path) -> dict:
    """The only result of the only run below `out`."""
    (path,) = [path for path in folder.glob("out/**/*.json") if path.stem in ("result", "sweep", "load")]
    return json.loads(path.read_text(encoding="utf-8"))
