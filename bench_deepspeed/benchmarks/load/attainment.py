"""Whether a level attains a service level objective: the share of its requests within each limit, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench_deepspeed.measure.percentiles import needed
from bench_deepspeed.measure.statistics import effective_size, middle_ranks, share_interval

from .latency import e2e, tpot, ttft
from .level_statistics import due_in_window, unmeasured
from .objective import sla_of, term_text
from .records import Level, Record, Sla, Slo, SloTerm
from .saturation import too_high
from .service_level import meets

OF = {"ttft": ttft, "tpot": tpot, "e2e": e2e}


@dataclass(frozen=True)
class Share:
    """The share of n requests that meet limits, worth so many independent ones, with its 95% interval."""

    value: float
    low: float
    high: float
    n: int
    worth: int

    @property
    def text(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True)
class Attainment:
    """`share`: of the requests within all limits; None where no request was due. `words` say what decided.

    `promising`: an inconclusive level of which a longer window may show that it attains the objective.
    """

    state: Literal["attained", "not attained", "inconclusive"]
    words: str
    share: Share | None = None
    promising: bool = False


def share_within(due: Sequence[Record], sla: Sla) -> Share | None:
    """The share of the requests due that meet a service level; None where none was due.

    Requests that follow one another are alike: they are worth as many independent ones as the effective size of the
    series "within the limits", or of the ranks of a limited latency where that is smaller, as for percentiles.
    """
    if not due:
        return None
    within = [meets(record, sla) for record in due]
    limited = [OF[name.removesuffix("_s")] for name, limit in sla.items() if limit is not None]
    series = [middle_ranks([latency(record) or 0.0 for record in due]) for latency in limited]
    worth = math.floor(min(map(effective_size, [list(map(float, within)), *series])))
    share = sum(within) / len(due)
    return Share(share, *share_interval(share, worth), len(due), worth)


def judge(level: Level, slo: Slo) -> Attainment:
    """Whether a level attains an objective, with a confidence of 97.5%.

    A limit of p99 holds where 99% of the requests are within it: attained where the intervals of these shares are all
    at or above theirs, not attained where one is below, or where the target does not sustain the rate; else
    inconclusive. That all limits hold needs no correction for their number (an intersection-union test: R. Berger,
    Technometrics 24, 1982).
    """
    due = due_in_window(level)
    share = share_within(due, sla_of(slo.terms))
    if reason := too_high(level):
        return Attainment("not attained", reason, share)
    if share is None or (reason := unmeasured(level)):
        return Attainment("inconclusive", reason or "no request was due")
    found = [(term, share_within(due, sla_of([term]))) for term in slo.terms]
    if missed := [pair for pair in found if pair[1].high < pair[0].percent / 100]:
        return Attainment("not attained", "; ".join(_holds(*pair) for pair in missed), share)
    if undecided := [pair for pair in found if pair[1].low < pair[0].percent / 100]:
        promising = all(part.value >= term.percent / 100 for term, part in undecided)
        return Attainment("inconclusive", "; ".join(_holds(*pair) for pair in undecided), share, promising)
    return Attainment("attained", f"{share.text} of {share.n} requests are within all limits", share)


def _holds(term: SloTerm, share: Share) -> str:
    """What is known of one limit, in words; its percentile is withheld where there are too few requests for it."""
    enough = needed(term.percent)
    if share.worth < enough and share.high >= term.percent / 100:
        return f"{term_text(term)} withheld: {share.worth} of {enough} independent requests"
    return f"{term_text(term)} holds for {share.text} of the requests"
