"""The measuring: tools and scenarios in a drawn order, each run held against the log of its own server."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence

from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.core.errors import DAMAGE, BenchError
from bench_deepspeed.core.paths import without_home
from bench_deepspeed.core.progress_bars import Bars
from bench_deepspeed.core.text import one_line

from . import packets, tokenizer, truth
from .log import Served, lags
from .plan import Visit, pending
from .processes import Ended, ServerProcess, ToolProcess
from .records import PacketCheck, RefereeResult, ToolRun
from .scenarios import SCENARIOS
from .tools import OURS
from .tools.base import Installed, Job, Reported, Tool

TIMEOUT_S = 180.0
CHECKED = ("steady_50", "steady_500")
"""Scenarios in which the server's log is held against packets."""


class Referee:
    """Fills the recorder's result. `line` shows a run as soon as it is over."""

    def __init__(
        self,
        recorder: RunFolder[RefereeResult],
        tools: Mapping[str, Installed],
        bars: Bars,
        *,
        line: Callable[[ToolRun], str],
    ):
        self._recorder, self._tools, self._bars, self._line = recorder, tools, bars, line
        self._result = recorder.result

    def measure(self) -> None:
        """Check the server, then every run that is pending; each is saved when it is over."""
        os.sched_setaffinity(0, self._result.tool_cpus)  # what is started inherits it
        if not self._result.packets:
            checked = [name for name in CHECKED if name in self._result.settings.scenarios]
            self._result.packets = [self._check(name) for name in checked if OURS in self._tools]
        todo = pending(self._result)
        for number, visit in enumerate(todo, 1):
            with self._bars.spinner(f"{number} of {len(todo)}: {visit.tool}, {visit.scenario}"):
                run = self._visit(visit)
            self._result.runs = [one for one in self._result.runs if not _is(one, visit)] + [run]
            self._recorder.save()
            self._bars.note(self._line(run))

    def _visit(self, visit: Visit) -> ToolRun:
        try:
            return self._run(visit)[0]
        except (BenchError, OSError, *DAMAGE) as error:
            return ToolRun(**vars(visit), error=self._words(error))

    def _run(self, visit: Visit, sniffing: list[packets.Packet] | None = None) -> tuple[ToolRun, Sequence[Served]]:
        """One run, and the server's log of it; its packets where they are wanted.

        Raises BenchError, OSError, or what an output of another form raises.
        """
        installed, scenario = self._tools[visit.tool], SCENARIOS[visit.scenario]
        cpu = Meter()
        with self._recorder.scratch() as scratch:
            folder = scratch.absolute()  # the tool and the server have other working directories
            tokenizer.write(folder / "tokenizer")
            own = folder / "tool"
            own.mkdir()
            seed = self._result.settings.seed + visit.repetition
            with ServerProcess(scenario.served, seed, folder, self._result.server_cpus, cpu.hear) as server:
                job = Job(server.port, scenario, own, folder / "tokenizer")
                command = installed.tool.command(job, installed.python)
                environment = {"BENCH_PYTHON": sys.executable, **installed.tool.environment}
                cpu.process = ToolProcess(command, own, environment, TIMEOUT_S)
                if sniffing is None:
                    ended = cpu.process.run()
                else:
                    with packets.Sniffer(server.port) as sniffer:
                        ended = cpu.process.run()
                    sniffing.extend(sniffer.packets)
                served = server.log().requests
            reported = _read(installed.tool, job, served, ended)
            run = ToolRun(
                **vars(visit),
                command=[_without_places(word, job, installed) for word in command],
                cpu_s=cpu.seconds(ended),
                cpu_requests=len(installed.tool.own(job, served)),
                cpu_total_s=round(ended.cpu_total_s, 3),
                wall_s=round(ended.seconds, 3),
                server_lag_s=_rounded(truth.percentiles(lags(served))),
                **judged(installed.tool, job, reported, served),
            )
            return run, served

    def _words(self, error: BaseException) -> str:
        """An error in one line, without the folders of this run: results are published."""
        scratch = re.compile(re.escape(f"{self._recorder.folder.absolute()}/") + r"(\.scratch[^/]*/)?")
        return without_home(scratch.sub("", one_line(str(error) or repr(error))))

    def _check(self, scenario: str) -> PacketCheck:
        """Hold the server's log against packets, with this suite as the client."""
        if reason := packets.permitted():
            return PacketCheck(scenario, error=reason)
        seen: list[packets.Packet] = []
        try:
            with self._bars.spinner(f"{scenario}: the log against packets"):
                _, served = self._run(Visit(OURS, scenario, 0), seen)
            agreement = packets.compare(seen, [request for request in served if request.stream])
        except (BenchError, OSError, *DAMAGE) as error:
            return PacketCheck(scenario, error=self._words(error))
        sent_s, read_s = (_rounded(truth.percentiles(values)) for values in (agreement.sent_s, agreement.read_s))
        return PacketCheck(scenario, None, len(agreement.sent_s), len(agreement.read_s), sent_s, read_s)


class Meter:
    """The CPU time of a tool from its first request to its last, read when the server reports these.

    A tool that has ended by the time of a report is read as `Ended` has it.
    """

    def __init__(self) -> None:
        self.process: ToolProcess | None = None
        self._first_s: float | None = None
        self._last_s = 0.0
        self._outlived = False

    def hear(self, word: str) -> None:
        """Read it, at what the server reports."""
        now_s = self.process.cpu_s() if self.process else None
        if word == "first":
            self._first_s = now_s
        elif now_s is None:
            self._outlived = True
        else:
            self._last_s = now_s

    def seconds(self, ended: Ended) -> float | None:
        """CPU seconds; up to the tool's end where that came sooner than the server's last report."""
        if self._first_s is None:
            return None
        last_s = max(self._last_s, ended.cpu_total_s) if self._outlived else self._last_s
        return round(last_s - self._first_s, 3)


def _read(tool: Tool, job: Job, served: Sequence[Served], ended: Ended) -> Reported:
    """What a tool says. Raises BenchError with its last words where it says nothing that can be read."""
    try:
        return tool.read(job, served)
    except (BenchError, OSError, *DAMAGE) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BenchError(f"it ended with code {ended.code}: {ended.last_words} ({reason})") from error


def judged(tool: Tool, job: Job, reported: Reported, served: Sequence[Served]) -> dict[str, object]:
    """What a run reported next to the truth: the fields of `ToolRun` that follow from both."""
    counted, rate = reported.counted, job.scenario.rate
    due = truth.from_due(counted, rate) if rate else truth.from_send
    reference = truth.latencies(counted, due)
    true = truth.latencies(counted, due if tool.clock == "due" else truth.from_send)
    late_s = [request.received_s - due(request) for request in counted] if rate else []
    ok = [request for request in tool.own(job, served) if request.ok]
    window = reported.window_s
    return {
        "requests": len(counted),
        "failed": reported.failed,
        "true_failed": sum(not request.ok for request in counted),
        "reported": {name: _rounded(truth.percentiles(values)) for name, values in reported.latencies.items()},
        "truth": {name: _rounded(true[name]) for name in reported.latencies},
        "reference": {name: _rounded(values) for name, values in reference.items() if name in truth.FIRST},
        "tokens_per_s": reported.tokens_per_s,
        "true_tokens_per_s": truth.throughput_between(ok, *window) if window else truth.throughput(counted),
        "lag_s": _rounded(truth.percentiles(late_s)),
    }


def _is(run: ToolRun, visit: Visit) -> bool:
    return (run.tool, run.scenario, run.repetition) == dataclasses.astuple(visit)


def _without_places(word: str, job: Job, installed: Installed) -> str:
    """A word of a command line without the paths and the port of one run."""
    names = {job.url: "URL", str(job.folder): "OUT", str(job.tokenizer): "TOKENIZER", f"{installed.python.parent}/": ""}
    text = functools.reduce(lambda left, place: left.replace(place, names[place]), names, word)
    return text.rpartition("/bench_deepspeed/")[2] if text.endswith("bench.sh") else text


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """To the microsecond."""
    return {name: round(value, 6) for name, value in values.items()}
