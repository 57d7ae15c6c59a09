"""What a server of known times answers, and when: drawn from a seed before the first request comes.

Answer n of a seed is always the same, whoever asks and whenever. All times are in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["whole", "short", "cut", "error"]
"""whole: all tokens; short: fewer, with a finish reason; cut: the stream ends without one; error: HTTP 503."""


@dataclass(frozen=True)
class Behaviour:
    """How a server behaves. `tokens` is what its faults apply to: requests of so many tokens, None: all.

    Other requests are a client's probes.
    """

    first_s: float = 0.1
    """From a request's arrival to its first token, unless it waits in a queue."""
    gap_s: float = 0.02
    spread: float = 0.25
    """Each wait is uniform within this share of its mean, on both sides."""
    chunks: tuple[int, ...] = (1,)
    """Tokens of a chunk: each of these is equally likely."""
    bursts: float = 0.0
    """The probability that a chunk is handed over right after the one before, as an event of its own."""
    at_once: int | None = None
    """Requests that are served at a time; others wait in the order of arrival. None: all."""
    stall_at_s: float | None = None
    """So long after the first request of `tokens` the server stops: nothing is handed over for `stall_s`."""
    stall_s: float = 0.0
    stalls_of_one: float = 0.0
    """The probability that an answer stops once, for `stall_of_one_s`, in one of its gaps; no other answer does."""
    stall_of_one_s: float = 0.5
    accept_s: float = 0.0
    """So long it takes to accept each connection, one after the other."""
    errors: float = 0.0
    """The probability of HTTP 503."""
    cuts: float = 0.0
    """The probability that a stream ends in the middle."""
    shares: tuple[float, float] = (1.0, 1.0)
    """An answer's length is uniform between these shares of what was requested."""
    faults_from: int = 0
    """So many requests of `tokens` are answered without errors and cuts first: a client may give up at the start."""
    tokens: int | None = None


@dataclass(frozen=True)
class Answer:
    """One answer: (seconds after the start of its service, tokens) of each chunk, and how it ends."""

    chunks: tuple[tuple[float, int], ...]
    ending: Ending

    @property
    def tokens(self) -> int:
        return sum(count for _, count in self.chunks)

    @property
    def service_s(self) -> float:
        """How long it keeps a slot."""
        return self.chunks[-1][0] if self.chunks else 0.0


def draw(behaviour: Behaviour, seed: int, number: int, max_tokens: int) -> Answer:
    """Answer `number`, counted from 0, to a request for so many tokens."""
    drawn = random.Random(f"{seed}/{number}")
    ending = _ending(behaviour, drawn, faulty=number >= behaviour.faults_from)
    if ending == "error":
        return Answer((), ending)
    tokens = max(1, round(max_tokens * drawn.uniform(*behaviour.shares)))
    chunks = list(_chunks(behaviour, drawn, tokens))
    if ending == "cut":
        return Answer(tuple(chunks[: max(1, len(chunks) // 2)]), ending)
    return Answer(tuple(chunks), "short" if tokens < max_tokens else "whole")


def _ending(behaviour: Behaviour, drawn: random.Random, faulty: bool) -> Ending:
    chance = drawn.random()
    if faulty and chance < behaviour.errors:
        return "error"
    return "cut" if faulty and chance < behaviour.errors + behaviour.cuts else "whole"


def _chunks(behaviour: Behaviour, drawn: random.Random, tokens: int) -> Iterator[tuple[float, int]]:
    def wait(mean_s: float) -> float:
        return mean_s * drawn.uniform(1 - behaviour.spread, 1 + behaviour.spread)

    now_s, left, last_come = wait(behaviour.first_s), tokens, 0
    stall_after = drawn.randrange(1, tokens) if tokens > 1 and drawn.random() < behaviour.stalls_of_one else tokens
    while left:
        count = min(drawn.choice(behaviour.chunks), left)
        come = tokens - left
        if come and drawn.random() >= behaviour.bursts:
            now_s += sum(wait(behaviour.gap_s) for _ in range(count))
        if last_come < stall_after <= come:
            now_s += behaviour.stall_of_one_s
        yield now_s, count
        last_come, left = come, left - count


@dataclass
class Stall:
    """A time in which a server does nothing: all that it works at is later by what is left of it."""

    start_s: float = float("inf")
    seconds: float = 0.0

    def worked_s(self, moment_s: float) -> float:
        """The seconds that the server has worked until a moment."""
        return moment_s - min(max(moment_s - self.start_s, 0.0), self.seconds)

    def moment_s(self, worked_s: float) -> float:
        """When the server has worked for so many seconds."""
        return worked_s + (self.seconds if worked_s >= self.start_s else 0.0)


@dataclass
class Slots:
    """When a request's service starts, given how many are served at a time: the first to come takes the first free."""

    at_once: int | None
    free_at_s: list[float] = field(default_factory=list)

    def take(self, arrived_s: float, service_s: float) -> float:
        """The start of a request's service, in the server's working time."""
        if self.at_once is None:
            return arrived_s
        if len(self.free_at_s) < self.at_once:
            self.free_at_s.append(arrived_s)
        slot = self.free_at_s.index(min(self.free_at_s))
        start_s = max(arrived_s, self.free_at_s[slot])
        self.free_at_s[slot] = start_s + service_s
        return start_s
