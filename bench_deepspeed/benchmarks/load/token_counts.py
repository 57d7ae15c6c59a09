"""What the counts of an answer's tokens say: who counted, whether the counts agree, and why requests failed.

Pure functions of the records of a level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .latency import chunks_of
from .records import Record

SLACK_TOKENS, SLACK_SHARE = 2, 0.1
"""Text that is tokenized again may come out otherwise, and lacks special tokens: counts differ from here on."""
WORDS = {
    "usage": "the server's usage.completion_tokens",
    "token ids": "the token ids of each chunk",
    "tokenizer": "the tokenizer, from the text",
}
"""What counts tokens, in words."""
AS_THEY_COME = "as they come"
"""Lengths of a server that takes no field for exact ones."""
NAMED = 3
"""Kinds of failure that a remark names."""


def counted_by(records: Iterable[Record]) -> Counter[str]:
    """How many answers were counted by what; none for a target that gives each token its time."""
    return Counter(record.counted_by for record in records if record.error is None and record.counted_by)


def contradicts(record: Record) -> bool:
    """Whether a server's count of an answer's tokens cannot be right.

    It is where the tokenizer counts the answer's text otherwise, by more than two tokens and by more than a tenth of
    its own count, or where more chunks with text came than it counts tokens.
    """
    if record.error is not None or record.counted_by != "usage":
        return False
    own, chunks = record.tokenizer_tokens, sum(number for _, number in chunks_of(record) or [])
    differs = own is not None and abs(record.new_tokens - own) > max(SLACK_TOKENS, SLACK_SHARE * own)
    return differs or record.new_tokens < chunks


def failures(records: Iterable[Record]) -> str:
    """Why requests failed: the reason where it is one, else how many for which, the most frequent first."""
    errors = sorted(record.error for record in records if record.error is not None)
    kinds = Counter(error.partition(": ")[0] for error in errors)
    if len(kinds) == 1:
        return errors[0]
    named = [f"{number} × {kind}" for kind, number in kinds.most_common(NAMED)]
    return ", ".join([*named, *(["…"] if len(kinds) > NAMED else [])])


def remarks(records: Iterable[Record]) -> list[str]:
    """What makes token counts and lengths doubtful, in words."""
    found, ended = [], [record for record in records if record.error is None]
    other = [record for record in ended if record.new_tokens != record.max_tokens]
    if other:
        came, asked = (sum(getattr(r, name) for r in other) / len(other) for name in ("new_tokens", "max_tokens"))
        found.append(
            f"{len(other)} of {len(ended)} answers have another length than requested: {came:.1f} tokens on average, "
            f"{asked:.1f} were requested"
        )
    if wrong := [record for record in ended if contradicts(record)]:
        usage, own = sum(record.new_tokens for record in wrong), [record.tokenizer_tokens for record in wrong]
        against = "fewer than chunks came" if None in own else f"the tokenizer counts {sum(own):,} in their texts"
        found.append(f"usage contradicts {len(wrong)} of {len(ended)} answers: {usage:,} tokens, {against}")
    return found
