"""`bench.sh referee`: run the tools, and print what each is off by; `bench.sh referee serve`: the server alone."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import BenchError, MachineError, UsageError
from bench_deepspeed.core.folder_lock import hold
from bench_deepspeed.core.json_files import file_to_resume
from bench_deepspeed.core.ports import require_free
from bench_deepspeed.core.progress_bars import Bars, note_once
from bench_deepspeed.core.units import milliseconds
from bench_deepspeed.machine import environment
from bench_deepspeed.report import terminal

from . import plan, truth, view
from .install import install
from .kind import KIND
from .log import lags
from .measure import Referee
from .processes import split_cpus
from .records import FILE, RefereeResult, ToolVersion
from .scenarios import SCENARIOS
from .server import Server, precise_loop
from .tools import tool
from .tools.base import Installed

GO_ON = "to go on: bench.sh referee --resume {}"


def run(options) -> int:
    """Run what is pending, and print the table. Returns the exit code; raises BenchError where a run failed."""
    if options.serve:
        return _serve(options)
    for name, reason in plan.left_out(options).items():
        note_once(f"{name} is left out: {reason}")
    place, result = options.output_dir / "referee", None
    if options.resume is not None:
        saved = file_to_resume(options.resume, FILE)
        hold(saved.parent)  # before it is read: another process may still be writing it
        place, result = saved.parent, plan.resumed(saved, options)
    result = result or RefereeResult(plan.settings_of(options), [])
    result.started_at.append(utc_now())
    recorder = RunFolder(place, FILE, result, new=options.resume is None, where=GO_ON, close=partial(close, KIND))
    with recorder:
        with Bars(leave=False) as bars:
            result.environment = result.environment.resumed(environment.host_facts())
            result.server_cpus, result.tool_cpus = split_cpus()
            tools = {name: _installed(name, options.tools_dir, bars) for name in result.settings.tools}
            result.tools = {name: ToolVersion(t.tool.requirement, dict(t.packages)) for name, t in tools.items()}
            Referee(recorder, tools, bars, line=view.line).measure()
        print("\n" + terminal.render(view.after(result)))
        print(f"\nreferee  {paths.shown(recorder.path)}")
        if left := plan.pending(result):
            raise BenchError(f"{len(left)} runs failed, as reported above; --resume tries them again")
    return 0


def _installed(name: str, folder: Path, bars: Bars) -> Installed:
    with bars.spinner(f"setting up {name}"):
        return install(tool(name), folder)


def _serve(options) -> int:
    """Run a scenario's server until a signal comes; then write its log and print how late it was."""
    (scenario,) = options.scenarios
    if options.port:
        require_free(options.port)
    if options.log and not os.access(options.log.absolute().parent, os.W_OK):
        raise UsageError(f"--log {options.log}: the folder is not there, or nothing can be written to it")
    server, loop = Server(SCENARIOS[scenario].served, options.seed or 0), precise_loop()
    port = loop.run_until_complete(server.listen(options.port or 0))
    print(f"{scenario} on http://127.0.0.1:{port}/v1 until Ctrl-C", flush=True)
    try:
        loop.run_forever()
    finally:
        _close(server, options.log)
    return 0


def _close(server: Server, file: Path | None) -> None:
    """Write the log, where it is wanted, and print the server's own lag. Raises MachineError."""
    if file is not None:
        try:
            server.log().save(file)
        except OSError as error:
            raise MachineError(f"cannot write {file}: {error.strerror}") from error
    late = truth.percentiles(lags(server.requests))
    shown = ", ".join(f"{name} {milliseconds(seconds)}" for name, seconds in late.items()) or "nothing was handed over"
    print(f"{len(server.requests)} requests; chunks were late by: {shown}")
