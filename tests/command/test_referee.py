"""The referee: its server's log agrees with the schedule and with the packets, and its runs survive what happens."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support import InProcess, wait_until

from bench_deepspeed.benchmarks.referee import install, packets
from bench_deepspeed.benchmarks.referee.flags import TOOLS_DIR
from bench_deepspeed.benchmarks.referee.log import Log
from bench_deepspeed.benchmarks.referee.records import RefereeResult, ToolRun
from bench_deepspeed.benchmarks.referee.scenarios import SCENARIOS
from bench_deepspeed.benchmarks.referee.schedule import draw
from bench_deepspeed.benchmarks.referee.tools import tool
from bench_deepspeed.core.paths import ROOT

NEW_TOKENS = 32
CLIENTS = 4
FOREIGN = "llama-benchy"
"""The foreign tool that is set up the soonest, and starts the soonest."""


def served(tmp_path, scenario, client):
    """The log of a server, after a client had its port."""
    file, behaviour = tmp_path / "log.json", json.dumps(vars(SCENARIOS[scenario].served))
    command = [sys.executable, "-m", "bench_deepspeed.benchmarks.referee.serve", behaviour, "7", "0", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        client(int(process.stdout.readline()))
        process.stdin.close()
    assert process.returncode == 0
    return Log.load(file)


def ask(port, number=0, stream=True):
    """The text of one answer, and its status."""
    connection = HTTPConnection("127.0.0.1", port)
    body = {"prompt": f"{number} word", "max_tokens": NEW_TOKENS, "stream": stream}
    connection.request("POST", "/v1/completions", json.dumps(body))
    response = connection.getresponse()
    return response.status, response.read().decode()


@pytest.mark.skipif(packets.permitted() is not None, reason=str(packets.permitted()))
def test_packets_leave_when_the_log_says_so(tmp_path):
    """Each chunk is one packet with its tokens, in its order, sent after the log's time before and not before it."""

    def clients(port):
        with packets.Sniffer(port) as sniffer:
            threads = [threading.Thread(target=ask, args=(port, number)) for number in range(CLIENTS)]
            for step in (threading.Thread.start, threading.Thread.join):
                for thread in threads:
                    step(thread)
        seen.extend(sniffer.packets)

    seen = []
    log = served(tmp_path, "bundles", clients)
    assert len(log.requests) == CLIENTS
    agreement = packets.compare(seen, log.requests)
    assert len(agreement.read_s) == CLIENTS
    assert min(*agreement.sent_s, *agreement.read_s) >= -packets.CLOCKS_S
    chunks = [packet.time_s for packet in seen if packets.CHUNK in packet.payload and packet.from_server]
    writes = sorted(write.before_s for request in log.requests for write in request.writes)
    assert all(sent <= later + packets.CLOCKS_S for sent, later in zip(chunks, writes[1:], strict=False))
    with pytest.raises(ValueError, match="do not hold the same tokens"):
        packets.compare(seen[:-1], log.requests)


def test_the_log_follows_the_schedule(tmp_path):
    """Nothing is handed over before it is due, and what is due is what was drawn from the seed."""
    log = served(tmp_path, "short", lambda port: [ask(port), ask(port, stream=False), ask(port)])
    first, whole, last = log.requests
    assert not whole.writes and not whole.stream
    for number, request in ((0, first), (2, last)):
        drawn = draw(SCENARIOS["short"].served, 7, number, NEW_TOKENS)
        assert [write.tokens for write in request.writes] == [count for _, count in drawn.chunks]
        due = [write.due_s - request.received_s for write in request.writes]
        assert due == pytest.approx([after_s for after_s, _ in drawn.chunks])
        assert all(write.due_s <= write.before_s <= write.after_s for write in request.writes)
        assert request.tokens < NEW_TOKENS and request.ending == "short" and request.ok
    assert all(a.received_s < b.received_s for a, b in itertools.pairwise(log.requests))


def referee(*flags: str) -> list[str]:
    return ["referee", "--output_dir", "out", *flags]


def file_of(folder: Path) -> Path:
    (file,) = (folder / "out" / "referee").glob("*/referee.json")
    return file


def require_sound(run: ToolRun) -> None:
    """All requests were counted, and none came sooner than it was sent. How exact it is depends on the machine."""
    assert run.error is None
    assert run.requests > 0 and run.true_failed == 0
    assert all(values["p50"] > 0 for values in run.reported.values())
    assert run.reported["ttft"]["p50"] >= run.truth["ttft"]["p50"] - packets.CLOCKS_S
    assert run.cpu_s > 0


def test_what_was_interrupted_goes_on(bench, tmp_path):
    process = bench.start(*referee("--tools", "ours", "--scenarios", "short", "-r", "2"))
    file = wait_until(lambda: next((tmp_path / "out").rglob("referee.json"), None))
    wait_until(lambda: len(json.loads(file.read_text())["runs"]) == 1)
    wait_until(lambda: list(file.parent.glob(".scratch-*/tool/output.log")))
    os.kill(process.pid, signal.SIGINT)
    done = bench.finish(process)
    assert done.returncode == 130
    assert f"to go on: bench.sh referee --resume {file.parent.relative_to(tmp_path)}" in done.stderr
    bench.require_none_left()
    before = RefereeResult.load(file)
    assert (before.status, len(before.runs)) == ("interrupted", 1)
    done = bench("referee", "--resume", str(file.parent))
    assert done.returncode == 0, done
    after = RefereeResult.load(file)
    assert (after.status, len(after.runs), len(after.started_at)) == ("complete", 2, 2)
    assert after.runs[0] == before.runs[0]
    for run in after.runs:
        require_sound(run)
    assert sorted(path.name for path in file.parent.iterdir()) == ["referee.json"]


@pytest.mark.skipif(
    install.installed(tool(FOREIGN), TOOLS_DIR) is None,
    reason=f"{FOREIGN} is not set up in {TOOLS_DIR.name}/: `bench.sh referee --tools {FOREIGN}` does that",
)
def test_ours_and_a_foreign_tool_in_a_small_scenario(bench, tmp_path):
    done = bench(*referee("--tools", f"ours,{FOREIGN}", "--scenarios", "short", "-r", "1"))
    assert done.returncode == 0, done
    runs = {run.tool: run for run in RefereeResult.load(file_of(tmp_path)).runs}
    assert set(runs) == {"ours", FOREIGN}
    for run in runs.values():
        require_sound(run)


def test_a_tool_that_ends_without_a_result_has_its_last_words_as_its_error(bench, tmp_path):
    """It is not measured, the others are, and the exit code says so."""
    home = tmp_path / "tools" / "llama-benchy-0.4.0"
    (home / "bin").mkdir(parents=True)
    (home / "packages.json").write_text("{}")
    script = home / "bin" / "llama-benchy"
    script.write_text("#!/bin/sh\necho no luck today; exit 7\n")
    script.chmod(0o755)
    done = bench(*referee("--tools", FOREIGN, "--scenarios", "short", "-r", "1", "--tools_dir", "tools"))
    assert done.returncode == 1
    assert "1 runs failed" in done.stderr
    (run,) = RefereeResult.load(file_of(tmp_path)).runs
    assert run.error.startswith("it ended with code 7: no luck today (FileNotFoundError")
    assert str(tmp_path) not in run.error  # results are published


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("serve",), "serve needs one of --scenarios"),
        (("serve", "--scenarios", "short", "--tools", "ours"), "--tools does not go with `serve`"),
        (("--port", "8000"), "--port belongs to `serve`"),
        (("serve", "--scenarios", "short", "--port", "99999"), "99999 is not a port between 1024 and 65535"),
        (("serve", "--scenarios", "short", "--log", "no/such/file"), "the folder is not there"),
        (("serv",), "'serv': give `serve`, or nothing"),
        (("--resume", "out"), "--resume out: there is no referee.json"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path, flags, words):
    assert words in InProcess(tmp_path).refusal(2, "referee", *flags)


def test_serve_ends_at_a_signal_with_its_log_and_its_lag(bench, tmp_path):
    process = bench.start("referee", "serve", "--scenarios", "short", "--log", "server.json")
    first = process.stdout.readline()
    ask(int(re.search(r":(\d+)/v1", first)[1]))
    os.kill(process.pid, signal.SIGINT)
    done = bench.finish(process)
    assert done.returncode == 130
    assert "1 requests; chunks were late by: p50" in done.stdout
    (request,) = Log.load(tmp_path / "server.json").requests
    assert request.ok and request.max_tokens == NEW_TOKENS
