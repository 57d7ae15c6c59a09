"""Service level objectives: `ttft_p99<=500ms tpot_p99<=50ms`, or one of MLPerf's.

Imports the standard library alone.
"""

from __future__ import annotations

import argparse
import re

from bench_deepspeed.measure.percentiles import needed

from .records import Sla, Slo, SloTerm

EXAMPLE = "ttft_p99<=500ms tpot_p99<=50ms e2e_p99<=10s"
LATENCIES = ("ttft", "tpot", "e2e")
TERM = re.compile(rf"({'|'.join(LATENCIES)})_p(\d{{1,2}}(?:\.\d)?)<=(\d+(?:\.\d+)?)(ms|s)", re.ASCII)
LEAST_PERCENT = 50
MOST_RATE = 1000.0
"""Requests a second up to which a search goes, and the generator was tried: docs/method/load.md."""
MLPERF = "mlperf:"
SOURCE = "MLPerf Inference, Server: loadgen/mlperf.conf in github.com/mlcommons/inference at b66003e (2026-08-20)"
MLPERF_MS = {
    "llama2-70b": (2000, 200),
    "llama2-70b-interactive": (450, 40),
    "mixtral-8x7b": (2000, 200),
    "llama3_1-405b": (6000, 175),
    "llama3_1-405b-interactive": (4500, 80),
    "llama3_1-8b": (2000, 100),
    "llama3_1-8b-interactive": (500, 30),
    "deepseek-r1": (2000, 80),
    "deepseek-r1-interactive": (1500, 15),
    "gpt-oss-120b": (3000, 80),
    "gpt-oss-120b-interactive": (2000, 15),
}
"""Model of MLPerf → its limits of TTFT and TPOT in ms, both of the 99th percentile, from `SOURCE`."""


def slo(text: str) -> Slo:
    """The objective that a flag names. Raises ArgumentTypeError with the syntax, or with the names of the presets."""
    if text.startswith(MLPERF):
        name = text.removeprefix(MLPERF)
        if name not in MLPERF_MS:
            raise argparse.ArgumentTypeError(
                f"{text!r} is none of MLPerf's: {', '.join(MLPERF + n for n in MLPERF_MS)}"
            )
        first, each = MLPERF_MS[name]
        return Slo(text, [SloTerm("ttft", 99, first / 1e3), SloTerm("tpot", 99, each / 1e3)], SOURCE)
    terms = [_term(part) for part in text.split()]
    if not terms:
        raise argparse.ArgumentTypeError(f"it names no limit: give some such as {EXAMPLE!r}")
    if len({(term.latency, term.percent) for term in terms}) < len(terms):
        raise argparse.ArgumentTypeError(f"{text!r} limits one percentile twice")
    return Slo(" ".join(text.split()), terms)


def _term(text: str) -> SloTerm:
    found = TERM.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no limit such as those of {EXAMPLE!r}: {', '.join(LATENCIES)}, a percentile, ms or s"
        )
    latency, percent, limit, unit = found.groups()
    limit_s = float(limit) / (1e3 if unit == "ms" else 1)
    if float(percent) < LEAST_PERCENT or limit_s == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: the percentile is p{LEAST_PERCENT} or more, and the limit above 0")
    return SloTerm(latency, float(percent), limit_s)


def term_text(term: SloTerm) -> str:
    """As it is given: "ttft_p99<=500ms"."""
    limit = f"{1e3 * term.limit_s:g}ms" if term.limit_s < 1 else f"{term.limit_s:g}s"
    return f"{term.latency}_p{term.percent:g}<={limit}"


def sla_of(terms: list[SloTerm]) -> Sla:
    """What one request must meet: of each latency the limit, the largest where it has several."""
    return {
        f"{latency}_s": max((term.limit_s for term in terms if term.latency == latency), default=None)
        for latency in LATENCIES
    }


def requests_for(slo: Slo) -> int:
    """Requests of a level: twice as many as the highest percentile needs, since those that follow others are alike."""
    return 2 * max(needed(term.percent) for term in slo.terms)


def cost(slo: Slo) -> str:
    """How many requests each level takes, and why, in words."""
    highest = max(term.percent for term in slo.terms)
    return (
        f"each level takes {requests_for(slo)} requests: p{highest:g} needs {needed(highest)} independent ones, and "
        "those that follow one another are alike"
    )
