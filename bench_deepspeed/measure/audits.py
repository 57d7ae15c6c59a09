"""Which timed generations the check of a process refuses: `worker.audit` makes the check, this decides."""

from __future__ import annotations

import math

from bench_deepspeed.core.errors import ImpossibleError
from bench_deepspeed.core.precision import PRECISIONS

from .records import Audit, Result, Run, Scenario

FACTOR_OF_A_TIE = 4
"""Answers of many hundred tokens meet nearer ties than the short ones of the quality check."""
FACTOR_OF_NEW = 5.0
FACTOR_OF_INTERLEAVED = 2.0
FEWEST_INTERLEAVED = 3
"""Turns of a new and a repeated prompt: one that is slow by chance is no evidence."""
FACTOR_OF_LONG = 2.0
LEAST_LATE = 0.5
FEWEST_TOKENS = 8
"""Halves of shorter answers cannot be distinguished."""
READ_S, READ_SHARE = 0.05, 0.1
"""Copying a thousand numbers takes less than a millisecond; the machine may stop for longer."""


def check_audits(result: Result) -> None:
    """Hold what was timed in each process against what the process then found of it; see `check_audit`."""
    for number, run in enumerate(result.runs, 1):
        if run.audit is not None:
            check_audit(f"process {number}", run, run.audit, result.scenario)


def check_audit(who: str, run: Run, audit: Audit, scenario: Scenario) -> None:
    """What was timed must have computed its answer each time, all of it, before the clock stopped."""
    _check_answers(who, run, audit, scenario.cell.compute)
    _check_times(who, run, audit, scenario)
    if audit.rest_s is None and not audit.spins:
        raise ImpossibleError(
            f"impossible: {who} continues to compute after its generation has returned: the clock stopped too early"
        )


def _check_answers(who: str, run: Run, audit: Audit, precision: str) -> None:
    """As many tokens as were counted, and those that the model prefers."""
    for sample, index in zip([*run.warmups, *run.samples], audit.given, strict=True):
        if (held := len(audit.token_ids[index])) != sample.new_tokens:
            raise ImpossibleError(
                f"impossible: {who} counts {sample.new_tokens} new tokens of a generation whose answer has {held}"
            )
    check_gaps(f"the timed answers of {who}", audit.gaps, precision)


def check_gaps(what: str, gaps: list[float], precision: str) -> None:
    """Tokens must be those that the model's logits prefer, as far as rounding in the products' precision decides it."""
    limit = FACTOR_OF_A_TIE * PRECISIONS[precision].near_tie
    if not all(gap <= limit for gap in gaps):
        raise ImpossibleError(
            f"impossible: {what} are not the model's: a token is {max(gaps):.3g} below the one that its own logits "
            f"prefer, and rounding in {precision} explains {limit:.3g}"
        )


def _check_times(who: str, run: Run, audit: Audit, scenario: Scenario) -> None:
    """A repeated prompt, the second half of an answer and reading it take the time that they must."""
    timed_s = [sample.seconds for sample in run.samples]
    new_s, repeated_s = (timed_s, []) if scenario.varied else ([], timed_s)
    _compare_prompts(who, "", [*new_s, *audit.new_prompt_s], [*repeated_s, *audit.repeated_s], FACTOR_OF_NEW)
    if len(audit.repeated_s) >= FEWEST_INTERLEAVED:
        _compare_prompts(who, "", audit.new_prompt_s, audit.repeated_s, FACTOR_OF_INTERLEAVED)
    _compare_prompts(who, " that is long", audit.long_new_s, audit.long_repeated_s, FACTOR_OF_LONG)
    late = late_tokens(audit.first_s, audit.half_s, audit.new_prompt_s, scenario.max_tokens)
    if late is not None and late < LEAST_LATE:
        raise ImpossibleError(
            f"impossible: a token of the second half of an answer takes {who} {late:.2f} times as long as one of the "
            "first: it does not compute all of them"
        )
    if audit.read_s is not None:
        check_read(who, audit.read_s, min([*timed_s, *audit.repeated_s], default=0.0))


def check_read(who: str, read_s: float, fastest_s: float) -> None:
    """Reading the tokens of a generation once the clock has stopped must take next to nothing of its time."""
    if read_s > READ_S + READ_SHARE * fastest_s:
        raise ImpossibleError(
            f"impossible: reading the tokens of a generation of {who} took {read_s:.3g} s after the clock had "
            "stopped: they were not there"
        )


def _compare_prompts(who: str, which: str, new_s: list[float], repeated_s: list[float], factor: float) -> None:
    """A repeated prompt must not be answered sooner by that factor: its slowest time against the soonest of others.

    Hosts slow down by two and more from one second to the next; but an answer that is remembered takes no time at all,
    and of several interleaved times none of one kind is in between those of the other by chance.
    """
    if not new_s or not repeated_s:
        return
    slowest, soonest = max(repeated_s), min(new_s)
    if soonest > factor * slowest:
        raise ImpossibleError(
            f"impossible: {who} takes {soonest:.4g} s or more for a new prompt{which}, and {slowest:.4g} s or less for "
            "one that is repeated: it does not compute that one each time"
        )


def doubtful(
    first_s: list[float], half_s: list[float], new_prompt_s: list[float], repeated_s: list[float], tokens: int
) -> bool:
    """Whether times of answers of `tokens`, interleaved, would refute by themselves: more are then taken."""
    late = late_tokens(first_s, half_s, new_prompt_s, tokens)
    return (late is not None and late < LEAST_LATE) or min(new_prompt_s) > FACTOR_OF_INTERLEAVED * max(repeated_s)


def late_tokens(first_s: list[float], half_s: list[float], whole_s: list[float], tokens: int) -> float | None:
    """Time of a token in the second half of an answer of `tokens` ∕ that of one in the first, at most.

    Of one token, of half of them and of all in turn. A token later in the answer has more context to attend to, so that
    the ratio is 1 or more; what slows one of the three down moves it either way, hence the largest. None where there
    are too few tokens to decide, or nothing was measured.
    """
    half = tokens // 2
    if tokens < FEWEST_TOKENS:
        return None
    ratios = [
        ((whole - middle) / (tokens - half)) / ((middle - first) / (half - 1)) if middle > first else math.inf
        for first, middle, whole in zip(first_s, half_s, whole_s, strict=False)
    ]
    return max(ratios, default=None)
