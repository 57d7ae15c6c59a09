"""Random kills: a signal at a random moment to a random process of a command that measures, reads or deletes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from builders import folder_of_every_kind
from support import Bench, fake_side

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.core.folder_lock import unheld
from bench_deepspeed.core.ports import free_port

from .judge import faults
from .tally import Tally

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
VICTIMS = {"worker": "bench_deepspeed.worker.server", "server": "stub_server"}
"""Process → what its command line holds; the command itself is the third."""
LATEST_S = 4.0
"""The last moment of a kill: most commands here last as long on a busy machine."""
LEFT_S = 15.0
"""How long what was killed may take to be gone."""
TIMED = re.compile(r" repetition [\d/]+: \d+ \+ \d+ tokens in [\d.]+ s = ", re.M)
PLACES = ("-d", "cpu", "--output_dir", "out", "--models_dir", "models")
SIDE = fake_side(seconds=[0.02])
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("--engine", "fake", "--processes", "2", "-r", "20", "-m", "4", *PLACES),
    "sweep": ("sweep", "--engines", "fake", "--batch_sizes", "1,2", "--prompt_tokens", "4,8", "-m", "4", *PLACES),
    "load": ("load", "--target", "stub", "--clients", "1,2", "--seconds", "0.5", "-m", "2", *PLACES),
    "ab": ("ab", "--a", SIDE, "--b", SIDE, "--processes", "2", "--rounds", "4", "-m", "4", *PLACES),
    "selftest": ("selftest", "--engine", "fake", "--budget", "1", *PLACES),
    "quality": ("quality", "-n", "smollm2", *PLACES),
    "resume": ("sweep", "--resume", "saved/sweep.json", "-d", "cpu"),
    "prune": ("results", "prune", "--yes", "--keep", "0", "--output_dir", "saved"),
    "page": ("report", "result.json", "load.json", "--format", "html", "--output", "page.html"),
}


def kills(folder: Path, count: int, seed: int) -> Tally:
    """Kill so many commands."""
    draw, tally = random.Random(seed), Tally()
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        what = list(COMMANDS)[number % len(COMMANDS)]
        victim = draw.choice(("command", "command", *VICTIMS))
        wanted, after_s = draw.choice(SIGNALS), draw.uniform(0, LATEST_S)
        code, hit, wrong = _killed(place, what, victim, wanted, after_s)
        tally.add([what, hit, wanted.name, round(after_s, 2)], code, wrong)
        tally.count("hit", f"{hit} {wanted.name}" if hit else "ended before")
        shutil.rmtree(place)
    return tally


def _killed(
    place: Path, what: str, victim: str, number: signal.Signals, after_s: float
) -> tuple[int, str | None, list[str]]:
    """Start a command and kill one of its processes. Returns its code, which process that was, and what is wrong."""
    bench, arguments, port = Bench(place), [*COMMANDS[what]], free_port()
    if what == "load":
        arguments += ["--port", str(port)]
    if what in ("page", "resume", "prune"):
        _populate(place)
    process = bench.start(*arguments, env={"BENCH_FAKE": json.dumps({"seconds": [0.02]})})
    hit = _send(process, victim, number, after_s)
    try:
        output, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        for left in bench.processes():
            left.kill()
        return process.wait(), hit, [f"did not end within 120 s of {number.name}"]
    code, killed = process.returncode, hit == "command"
    wrong = faults(code, output, errors)
    if killed and code in (-number, 128 + number):
        wrong = [fault for fault in wrong if not fault.startswith("exit code")]
    at_once = killed and number == signal.SIGKILL
    return code, hit, [*wrong, *left_over(bench, port), *file_faults(place, may_be_running=at_once)]


def _send(process: subprocess.Popen, victim: str, number: signal.Signals, after_s: float) -> str | None:
    """Send the signal to the process that was drawn, to the command where there is none such. Returns which it was."""
    time.sleep(after_s)
    if process.poll() is not None:
        return None
    try:
        below = psutil.Process(process.pid).children(recursive=True)
        pids = [child.pid for child in below if VICTIMS.get(victim, "\0") in " ".join(child.cmdline())]
        os.kill(pids[0] if pids else process.pid, number)
    except (psutil.Error, ProcessLookupError):
        return None
    return victim if pids else "command"


def left_over(bench: Bench, port: int | None) -> Sequence[str]:
    """What of a command is left after its end: processes, and who listens on its port."""
    deadline = time.monotonic() + LEFT_S
    while (left := bench.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = [f"left: {orphan.cmdline()[:6]}" for orphan in left]
    for orphan in left:
        orphan.kill()
    if port is None:
        return found
    with socket.socket() as probe:
        return [*found, *(["the port is held"] if probe.connect_ex(("127.0.0.1", port)) == 0 else [])]


def file_faults(place: Path, may_be_running: bool, lost: bool = True) -> Sequence[str]:
    """What is wrong with the files of runs in a folder; `lost`: whether a generation in the log alone is."""
    paths = [path for kind in registry.kinds() for path in place.rglob(kind.file)]
    wrong = [fault for path in paths for fault in _wrong_file(path, may_be_running, lost)]
    hidden = () if may_be_running else place.rglob(".*")
    return [*wrong, *(f"left: {path.name}" for path in hidden if "models" not in path.parts)]


def _wrong_file(path: Path, may_be_running: bool, lost: bool) -> Sequence[str]:
    """What is wrong with the file of a run: no JSON, a status that nobody ended, a lock, or a generation lost."""
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        return [f"{path.name} is no JSON: {error}"]
    wrong = []
    if data.get("status") == "running" and not may_be_running:
        wrong.append(f"{path.name} still says running")
    with unheld(path.parent) as free:
        if not free:
            wrong.append(f"the folder of {path.name} is held")
    log = path.parent / "performance.log"
    if lost and path.name == "result.json" and log.exists():
        kept = sum(len(run["samples"]) for run in data["runs"])
        logged = len(TIMED.findall(log.read_text()))
        if kept < logged:
            wrong.append(f"{logged} generations are in the log, {kept} in the file")
    return wrong


def _populate(place: Path) -> None:
    """Files of results, and folders of runs."""
    folder_of_every_kind(place)
    for day in range(1, 4):
        run = place / "saved" / "llama" / f"2026-01-0{day}T10-00-00"
        run.mkdir(parents=True)
        data = json.loads((place / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**data, "status": "complete"}))
    shutil.copy(place / "sweep.json", place / "saved" / "sweep.json")
