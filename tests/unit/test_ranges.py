"""Lists and ranges on the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from bench_deepspeed.core import number_lists


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("7", [7]),
        ("1,2,4", [1, 2, 4]),
        ("128-2048*2", [128, 256, 512, 1024, 2048]),
        ("1-4+1", [1, 2, 3, 4]),
        ("1,2,4-16*2", [1, 2, 4, 8, 16]),
        ("1-10*2", [1, 2, 4, 8]),
        ("1-10+4", [1, 5, 9]),
        ("5-5+1", [5]),
        ("4,1,4,1-4*2", [4, 1, 2]),
        (" 1, 2 ", [1, 2]),
    ],
)
def test_numbers(text, values):
    assert number_lists.numbers(text) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither"),
        ("1,,2", "neither"),
        ("1-4", "neither"),
        ("-1", "neither"),
        ("1.5", "neither"),
        ("a", "neither"),
        ("٣", "neither"),
        ("1-4-1", "neither"),
        ("0", "not between 1 and"),
        ("0-4+1", "not between 1 and"),
        ("99999999999", "not between 1 and"),
        ("4-1+1", "ends before it starts"),
        ("1-4+0", "never gets"),
        ("1-4*1", "never gets"),
        ("1-4*0", "never gets"),
        ("1-5000000+1", "more than 1000"),
    ],
)
def test_nonsense_is_refused_with_the_syntax(text, words):
    with pytest.raises(ArgumentTypeError) as refusal:
        number_lists.numbers(text)
    assert words in str(refusal.value)
    assert number_lists.SYNTAX in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_names():
    parse = number_lists.names_among(("mii", "deepspeed", "fake"))
    assert parse("fake, mii,fake") == ["fake", "mii"]
    with pytest.raises(ArgumentTypeError, match="'vllm' is none of mii, deepspeed, fake"):
        parse("mii,vllm")
