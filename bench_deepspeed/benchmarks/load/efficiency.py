"""What a level makes of its hardware: tokens a second of each GPU and of each user, and what a token costs.

Pure functions. A user sees the tokens of an answer come one by one, 1 ∕ TPOT a second (InferenceX calls it
interactivity); a GPU makes those of all users together. More users at a time make more of the second and less of the
first.
"""

from __future__ import annotations

import math

from bench_deepspeed.measure.metric import Bounds
from bench_deepspeed.measure.percentiles import Percentile
from bench_deepspeed.measure.statistics import series_interval

from .labels import ranks_of
from .latency import chunks_of
from .level_statistics import window_s
from .records import Level, LoadResult
from .saturation import BLOCKS

MILLION, HOUR_S = 1e6, 3600


def gpus(result: LoadResult) -> int | None:
    """GPUs of the target, on a CPU the machine as one; None for a server elsewhere of which nobody said it."""
    if "url" in result.target:
        return result.gpus
    return ranks_of(result) if result.scenario["device"] == "cuda" else 1


def tokens_interval(level: Level) -> Bounds | None:
    """The 95% interval of a level's tokens a second, from those of ten equal parts of its window.

    It is that of the mean of a series, whose autocorrelation counts. Of this window: another deployment may differ by
    more. None for files from before the times of tokens were kept, and for too few different parts.
    """
    start, part_s = level.window_s[0], window_s(level) / BLOCKS
    parts = [0.0] * BLOCKS
    for record in (record for record in level.records if record.error is None):
        chunks = chunks_of(record)
        if not chunks:
            return None
        moment, each = record.first_s, record.new_tokens / sum(tokens for _, tokens in chunks)
        for gap, tokens in chunks:
            moment += gap
            place = math.floor((moment - start) / part_s)
            if 0 <= place < BLOCKS:
                parts[place] += tokens * each
    found = series_interval([tokens / part_s for tokens in parts])
    return None if found is None or found.low is None else (max(0.0, found.low), found.high)


def per_gpu(value: float | None, result: LoadResult) -> float | None:
    """A figure of all GPUs, of each."""
    number = gpus(result)
    return None if value is None or number is None else value / number


def per_user(tpot: Percentile | None) -> float | None:
    """Tokens a second that a user sees, at the median TPOT."""
    return 1 / tpot.value if tpot is not None and tpot.value else None


def per_user_interval(tpot: Percentile | None) -> Bounds | None:
    """Its 95% interval: that of the median TPOT, the other way round."""
    if tpot is None or not tpot.low or tpot.high is None:
        return None
    return 1 / tpot.high, 1 / tpot.low


def cost(tokens_per_s: float | None, result: LoadResult) -> float | None:
    """What a million output tokens cost: the price of all GPUs a second ∕ tokens a second, in its currency."""
    number = gpus(result)
    if result.gpu_hour is None or number is None or not tokens_per_s:
        return None
    return result.gpu_hour * number / HOUR_S / tokens_per_s * MILLION
