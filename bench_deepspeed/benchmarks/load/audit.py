"""Whether requests got the same answers under load as alone: what was measured is else not what it is called."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from bench_deepspeed.core.errors import ImpossibleError

from .records import Level, LevelCheck, LoadResult

CHECKED, MOST_CHECKED = 4, 8
"""Requests of a level that are sent once more; more of them where not all began alike."""
BEGINNING = 4
"""Tokens that must be alike: later ones may differ at a near-tie, since other sequences in a batch round otherwise."""
LEAST_ALIKE = 0.5

Answer = Sequence[int | str] | None
"""Token ids, or the text of each token; None for a target that gives neither."""


def check_level(answers: dict[int, Answer], alone: Callable[[int], Answer]) -> LevelCheck | None:
    """Send some requests of a level once more, with nothing else under way, and compare the answers.

    `answers` are those under load, by the request's place in the level; `alone` sends it again. None for a target that
    gives no tokens, and for a level without an answer.
    """
    given = {place: list(answer) for place, answer in answers.items() if answer}
    drawn = random.sample(list(given), min(MOST_CHECKED, len(given)))
    check = LevelCheck([], [], [])
    for place in drawn:
        if len(check.records) >= CHECKED and alike(check) == len(check.records):
            break
        again = list(alone(place) or [])
        check.records.append(place)
        check.tokens.append(given[place])
        check.first_differences.append(first_difference(given[place], again))
    return check if check.records else None


def first_difference(one: Sequence[object], other: Sequence[object]) -> int | None:
    """The place of the first token that differs, where one ends as well; None where both are the same."""
    if one == other:
        return None
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def alike(check: LevelCheck) -> int:
    """How many of the answers began alike."""
    pairs = zip(check.first_differences, check.tokens, strict=True)
    return sum(place is None or place >= min(BEGINNING, len(tokens)) for place, tokens in pairs)


def require_same_answers(level: Level) -> None:
    """Raise ImpossibleError where fewer than half of a level's checked requests began as they do alone.

    Rounding lets a few begin otherwise; a target that leaves out work under load does in nearly all.
    """
    if level.check is None:
        return
    same, checked = alike(level.check), len(level.check.records)
    if same < LEAST_ALIKE * checked:
        raise ImpossibleError(
            f"impossible: {level.name}: {checked - same} of {checked} requests got another answer under load than "
            f"alone, from the first {BEGINNING} tokens on: what they took is not the time of the model's answer"
        )


def require_possible(result: LoadResult) -> None:
    """Raise ImpossibleError for the first level whose answers are others under load; see `require_same_answers`."""
    for level in result.levels:
        require_same_answers(level)
