"""The scenarios: what a server does, and what every tool has to send. An entry is a scenario."""

from __future__ import annotations

from dataclasses import dataclass

from .schedule import Behaviour


@dataclass(frozen=True)
class Scenario:
    """One scenario: `rate` requests a second, evenly spaced, whatever comes back, or `clients` that wait; not both.

    `requests` are sent by each tool, of `tokens` new tokens each.
    """

    title: str
    behaviour: Behaviour
    requests: int
    tokens: int
    rate: float | None = None
    clients: int | None = None

    @property
    def served(self) -> Behaviour:
        """The behaviour, whose faults are for this scenario's requests and not for a client's probes."""
        return Behaviour(**{**vars(self.behaviour), "tokens": self.tokens})

    @property
    def load(self) -> str:
        """What is sent, in words."""
        return f"{self.rate:g} requests/s" if self.rate else f"{self.clients} at a time"


PROMPT_TOKENS = 16
SCENARIOS = {
    "steady_1": Scenario("steady", Behaviour(), 6, 16, rate=1.0),
    "steady_50": Scenario("steady", Behaviour(), 200, 16, rate=50.0),
    "steady_500": Scenario("steady", Behaviour(first_s=0.05, gap_s=0.01), 1500, 8, rate=500.0),
    "bundles": Scenario("1, 2, 4 or 8 tokens in a chunk", Behaviour(chunks=(1, 2, 4, 8)), 64, 32, clients=8),
    "stop": Scenario("the server stops for 2 s", Behaviour(stall_at_s=2.0, stall_s=2.0), 100, 16, rate=20.0),
    "queue": Scenario("a queue in front of 8 slots", Behaviour(at_once=8, gap_s=0.01), 96, 16, clients=24),
    "errors": Scenario("5% answered with HTTP 503", Behaviour(errors=0.05, faults_from=16), 160, 16, clients=16),
    "short": Scenario("answers of 25% to 75% of the tokens", Behaviour(shares=(0.25, 0.75)), 64, 32, clients=8),
    "streams_200": Scenario("long streams", Behaviour(gap_s=0.04), 200, 80, clients=200),
}
"""Name → scenario, in the order in which they are shown."""
