"""What the referee needs of a tool: its command line, and where its output says what it measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench_deepspeed.benchmarks.referee.log import Served
from bench_deepspeed.benchmarks.referee.scenarios import Scenario


@dataclass(frozen=True)
class Job:
    """One run of a tool: against which server, into which empty folder. `tokenizer` is a folder with the server's."""

    port: int
    scenario: Scenario
    folder: Path
    tokenizer: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Reported:
    """What a tool measured: of each definition in `truth.LATENCIES` its value for each request, in seconds.

    Requests that failed are in none of them. `tokens_per_s` is the tool's own figure, None where it has none;
    `failed` how many requests it says failed, None for one that counts none. `counted` are the requests that all this
    is of, in the server's log.
    """

    latencies: Mapping[str, Sequence[float]]
    tokens_per_s: float | None
    failed: int | None
    counted: Sequence[Served]
    window_s: tuple[float, float] | None = None
    """Where tokens count that came between two moments: these, by the server's clock."""


class Tool(ABC):
    """A benchmark tool. `fields` says what its output calls each definition."""

    name: ClassVar[str]
    title: ClassVar[str]
    requirement: ClassVar[str | None]
    """What pip installs, pinned; None for this suite."""
    pythons: ClassVar[Sequence[str]] = ()
    """The versions of Python that it supports, such as "3.12"; none: that of this suite is among them."""
    clock: ClassVar[str] = "send"
    """When the clock of TTFT and E2E begins: "send" or "due"."""
    fields: ClassVar[Mapping[str, str]]
    notes: ClassVar[str] = ""
    """What of its command line needs a reason."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Environment variables that its command needs."""

    def refusal(self, scenario: Scenario) -> str | None:
        """Why it cannot run a scenario; None where it can."""
        return None

    @abstractmethod
    def command(self, job: Job, python: Path) -> list[str]:
        """The command line, of the tool installed for a Python."""

    @abstractmethod
    def read(self, job: Job, served: Sequence[Served]) -> Reported:
        """Its output, and which of the server's requests it counts.

        Raises OSError, ValueError, LookupError, TypeError or BenchError for an output of another form.
        """

    def own(self, job: Job, served: Sequence[Served]) -> list[Served]:
        """The requests that are a scenario's: streams of as many tokens, not what the tool asks on the way."""
        return [request for request in served if request.stream and request.max_tokens == job.scenario.tokens]


@dataclass(frozen=True)
class Installed:
    """A tool that is there: the Python that has it, and the packages with their versions."""

    tool: Tool
    python: Path
    packages: Mapping[str, str] = field(default_factory=dict)
