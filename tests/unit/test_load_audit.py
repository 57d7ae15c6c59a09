"""Answers under load against those of the same requests alone."""

from __future__ import annotations

import dataclasses

import pytest
from builders import level_of, request_record

from bench_deepspeed.benchmarks.load.audit import (
    CHECKED,
    MOST_CHECKED,
    check_level,
    first_difference,
    require_same_answers,
)
from bench_deepspeed.benchmarks.load.records import LevelCheck
from bench_deepspeed.core.errors import ImpossibleError

ANSWER = [7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([], [], None), ([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1, 2], [1], 1), (["a"], ["b"], 0), ([1], [], 0)],
)
def test_the_first_difference(one, other, expected):
    assert first_difference(one, other) == expected


def asked(alone: dict[int, list[int]], count: int = 20) -> tuple[LevelCheck, list[int]]:
    """The check of a level whose answers are all ANSWER, and the requests that were sent again."""
    places = []

    def send(place: int) -> list[int]:
        places.append(place)
        return alone.get(place % 2, ANSWER)

    return check_level(dict.fromkeys(range(count), ANSWER), send), places


def test_a_few_are_sent_again_where_all_are_alike():
    check, places = asked({})
    assert check == LevelCheck(places, [ANSWER] * CHECKED, [None] * CHECKED)
    assert len(set(places)) == CHECKED


def test_more_are_sent_again_where_some_are_not():
    check, places = asked({0: [1], 1: [1]})
    assert check.first_differences == [0] * MOST_CHECKED
    assert len(set(places)) == MOST_CHECKED


def test_no_more_than_there_are():
    assert len(asked({0: [1], 1: [1]}, count=2)[1]) == 2


@pytest.mark.parametrize("answers", [{}, {0: None, 1: None}, {0: []}])
def test_without_tokens_there_is_no_check(answers):
    assert check_level(answers, lambda place: pytest.fail("sent again")) is None


@pytest.mark.parametrize(
    ("differences", "refuted"),
    [
        ([None] * 4, False),
        ([4, 5, 4, 5], False),
        ([0, 1, 2, 3, None, None, 4, 5], False),
        ([0, 1, 2, 3, 0, None, 4, 5], True),
        ([0], True),
    ],
)
def test_a_level_is_void_where_most_answers_begin_otherwise(differences, refuted):
    check = LevelCheck(list(range(len(differences))), [ANSWER] * len(differences), differences)
    level = level_of([request_record()], check=check)
    if not refuted:
        require_same_answers(level)
        require_same_answers(dataclasses.replace(level, check=None))
    else:
        with pytest.raises(ImpossibleError, match="1 client: . of . requests got another answer under load than alone"):
            require_same_answers(level)


def test_a_short_answer_has_to_be_alike_whole():
    level = level_of([request_record()], check=LevelCheck([0], [[7, 8]], [1]))
    with pytest.raises(ImpossibleError):
        require_same_answers(level)
