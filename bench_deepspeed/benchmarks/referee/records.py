"""The data of a referee's run, and the referee.json that it is kept in. Times are in seconds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.json_files import read_json, write_json
from bench_deepspeed.measure.records import Environment

FILE = "referee.json"
SCHEMA = 1

Percentiles = dict[str, float]
"""Of one latency, by their names: p50, p99."""


@dataclass(frozen=True)
class ToolVersion:
    """A tool as it was installed: package → version."""

    requirement: str | None
    packages: dict[str, str]


@dataclass(frozen=True)
class ToolRun:
    """One run of a tool against a scenario's server. `error` is why it measured nothing; then all else is empty.

    `reported` is what the tool says, `truth` the same of the server's log, by definition (`truth.LATENCIES`); both by
    the tool's clock. `reference` is the truth by this suite's definitions and from when requests were due.
    `cpu_s` is the CPU time of the tool and its processes from its first request until `cpu_requests` were answered,
    `cpu_total_s` that from its start to its end. `lag_s`: how late it sent, of requests that come at a rate.
    `server_lag_s`: how late the server handed chunks over; that is in the truth as well.
    """

    tool: str
    scenario: str
    repetition: int
    error: str | None = None
    command: list[str] = field(default_factory=list)
    requests: int = 0
    failed: int | None = None
    true_failed: int = 0
    reported: dict[str, Percentiles] = field(default_factory=dict)
    truth: dict[str, Percentiles] = field(default_factory=dict)
    reference: dict[str, Percentiles] = field(default_factory=dict)
    tokens_per_s: float | None = None
    true_tokens_per_s: float | None = None
    cpu_s: float | None = None
    cpu_requests: int = 0
    cpu_total_s: float | None = None
    wall_s: float | None = None
    lag_s: Percentiles = field(default_factory=dict)
    server_lag_s: Percentiles = field(default_factory=dict)


@dataclass(frozen=True)
class PacketCheck:
    """The server's log held against the kernel's times of its packets in one scenario; `error`: why it was not.

    `sent_s`: from the log's time of a chunk to its packet. `read_s`: from a request's last packet to the log's time.
    """

    scenario: str
    error: str | None = None
    chunks: int = 0
    requests: int = 0
    sent_s: Percentiles = field(default_factory=dict)
    read_s: Percentiles = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What is run: these tools against these scenarios, so many times each."""

    tools: list[str]
    scenarios: list[str]
    repetitions: int
    seed: int


@dataclass
class RefereeResult:
    """One referee: its settings, the tools, and their runs in the order in which they happened."""

    settings: Settings
    started_at: list[str]
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    environment: Environment = field(default_factory=Environment)
    server_cpus: list[int] = field(default_factory=list)
    tool_cpus: list[int] = field(default_factory=list)
    tools: dict[str, ToolVersion] = field(default_factory=dict)
    packets: list[PacketCheck] = field(default_factory=list)
    runs: list[ToolRun] = field(default_factory=list)
    kind: str = "referee"
    schema_version: int = SCHEMA

    def save(self, path: Path) -> None:
        """Write referee.json in one step. Raises OSError."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> RefereeResult:
        """Read a saved one. Raises BenchError when the file is not one."""
        result = read_json(cls, path, SCHEMA, "a result of the referee")
        if result.kind != "referee":
            raise BenchError(f"{path} is not a result of the referee: kind {result.kind!r}")
        return result
