"""The referee's tools: what is read of a report, which Python a tool is set up with, and its CPU time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench_deepspeed.benchmarks.referee import install, plan
from bench_deepspeed.benchmarks.referee.log import Served
from bench_deepspeed.benchmarks.referee.measure import Meter
from bench_deepspeed.benchmarks.referee.processes import Ended
from bench_deepspeed.benchmarks.referee.scenarios import Scenario
from bench_deepspeed.benchmarks.referee.schedule import Behaviour
from bench_deepspeed.benchmarks.referee.server import Request, Server, Times
from bench_deepspeed.benchmarks.referee.tools import inference_perf, tool
from bench_deepspeed.benchmarks.referee.tools.base import Job
from bench_deepspeed.core.errors import MachineError

ROWS = [
    {
        "start_time": 33785.801370939,
        "end_time": 33785.816711475,
        "error": {"error_type": "HTTP Error 503", "error_msg": '{"error": {"message": "overloaded"}}'},
    },
    {
        "start_time": 33785.867848268,
        "end_time": 33786.044461783,
        "computed_metrics": {
            "request_latency": 0.17661351500282763,
            "normalized_time_per_output_token": 0.044153378750706906,
            "time_to_first_token": 0.10773714400420431,
            "time_per_output_token": 0.019809014665952418,
            "inter_token_latency": 0.019809014665952418,
            "inter_token_latencies": [0.059427043997857254, 0.0, 0.0],
            "output_tokens": 4,
        },
        "error": None,
    },
    {
        "start_time": 33786.713590349,
        "end_time": 33786.872918089,
        "computed_metrics": {
            "request_latency": 0.15932774000248173,
            "normalized_time_per_output_token": 0.03983193500062043,
            "time_to_first_token": 0.1022838640055852,
            "time_per_output_token": 0.01878514333172158,
            "inter_token_latency": 0.01878514333172158,
            "inter_token_latencies": [0.017956623996724375, 0.018641552996996325, 0.01975725300144404],
            "output_tokens": 4,
        },
        "error": None,
    },
]
"""Three rows that inference-perf 0.7.0 wrote of a server with errors and chunks of three tokens, without its texts."""
SUMMARY = {"successes": {"count": 4, "throughput": {"output_tokens_per_sec": 14.93168079443783}}}


def job(folder, **scenario) -> Job:
    return Job(8000, Scenario("", Behaviour(), 6, 4, **scenario), folder, folder / "tokenizer")


def request(max_tokens: int) -> Served:
    return Served("", 0, max_tokens, True, 0.0, 0.0, 0.0, "whole")


def test_inference_perf_reports_the_values_of_each_request(tmp_path):
    (tmp_path / inference_perf.ROWS).write_text(json.dumps(ROWS))
    (tmp_path / inference_perf.SUMMARY).write_text(json.dumps(SUMMARY))
    own, other = request(4), request(16)
    reported = tool("inference-perf").read(job(tmp_path, clients=2), [own, other])
    assert reported.latencies == {
        "ttft": [0.10773714400420431, 0.1022838640055852],
        "tpot": [0.019809014665952418, 0.01878514333172158],
        "e2e_per_token": [0.044153378750706906, 0.03983193500062043],
        "token_gap": [0.059427043997857254, 0.0, 0.0, 0.017956623996724375, 0.018641552996996325, 0.01975725300144404],
        "e2e": [0.17661351500282763, 0.15932774000248173],
    }
    assert (reported.tokens_per_s, reported.failed, reported.counted) == (14.93168079443783, 1, [own])


def test_inference_perf_gets_evenly_spaced_arrivals(tmp_path):
    command = tool("inference-perf").command(job(tmp_path, rate=500.0), tmp_path / "python")
    trace = tmp_path / inference_perf.TRACE
    assert command.count(str(trace)) == 2
    _, *rows = [line.split(",") for line in trace.read_text().splitlines()]
    assert [row[0][-9:] for row in rows] == [
        "00.000000",
        "00.002000",
        "00.004000",
        "00.006000",
        "00.008000",
        "00.010000",
    ]
    assert {tuple(row[1:]) for row in rows} == {("16", "4")}


class Demanding(inference_perf.InferencePerf):
    pythons = ("1.4", "1.5")


def named(path, *versions):
    """A folder of Pythons that are there by their names."""
    for version in versions:
        script = path / f"python{version}"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("broken", "found"), [((), "python1.4"), (("python1.4",), "python1.5")])
def test_a_tool_is_set_up_with_the_first_python_that_it_supports(tmp_path, monkeypatch, broken, found):
    """A name on PATH may be there without the Python that it stands for."""

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, int(command[0].endswith(broken)), stdout="[]", stderr="")

    commands = []
    monkeypatch.setenv("PATH", named(tmp_path, "1.4", "1.5"))
    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(install, "write_json", lambda *_: None)
    install.install(Demanding(), tmp_path / "tools")
    (made,) = [command for command in commands if "venv" in command]
    assert made[0] == str(tmp_path / found)


def test_a_tool_without_its_python_is_left_out_unless_it_is_requested(tmp_path, monkeypatch):
    words = "inference-perf==0.7.0 needs python1.4 or python1.5 on PATH"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(inference_perf.InferencePerf, "pythons", Demanding.pythons)
    flags = SimpleNamespace(tools=None, resume=None, scenarios=None, repetitions=None, seed=None, tools_dir=tmp_path)
    assert {name: words in reason for name, reason in plan.left_out(flags).items()} == {"inference-perf": True}
    assert plan.settings_of(flags).tools == ["ours", "guidellm", "aiperf", "llama-benchy"]
    flags.tools = ["inference-perf"]
    assert plan.left_out(flags) == {} and plan.settings_of(flags).tools == flags.tools
    with pytest.raises(MachineError, match=words):
        install.install(tool("inference-perf"), tmp_path)


def test_a_tool_that_supports_this_python_is_set_up_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Demanding, "pythons", ("1.4", ".".join(map(str, sys.version_info[:2]))))
    assert install.lacks(Demanding(), tmp_path) is None


def ended(cpu_total_s: float) -> Ended:
    return Ended(0, 9.0, cpu_total_s, "")


@pytest.mark.parametrize(
    ("readings", "total_s", "seconds"),
    [
        ([1.0, 2.0], 5.0, 1.0),  # what it does after its last answer is left out
        ([1.0, None], 5.0, 4.0),
        ([1.0, 2.0, None], 5.0, 4.0),  # it ended right after its last answer: the reading before is of another one
        ([1.0, 6.0, None], 5.0, 5.0),  # some of its processes were not waited for
        ([None, None], 5.0, None),
    ],
)
def test_the_cpu_time_of_a_tool_is_read_up_to_its_last_answer_or_its_end(readings, total_s, seconds):
    meter, left = Meter(), iter(readings)
    meter.process = SimpleNamespace(cpu_s=lambda: next(left))
    meter.hear("first")
    for _ in readings[1:]:
        meter.hear("idle")
    assert meter.seconds(ended(total_s)) == seconds


def test_a_server_that_is_ended_reports_what_it_would_have_reported_later():
    """Once for each time that it has come to rest."""

    async def serve():
        server = Server(Behaviour(), 0, words.append)
        server.end()
        for _ in range(2):
            server.begin(Request(False, "", 4, True, False, False, False), 0, Times(0.0, 0.0, 0.0))
            server.ended()
        server.end()
        server.end()

    words = []
    asyncio.run(serve())
    assert words == ["first", "idle"]
