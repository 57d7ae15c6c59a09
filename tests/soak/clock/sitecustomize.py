"""Has the wall clock of every process jump back and forth by up to a day, as a wrong clock that is set does.

The steady clock, by which is measured, goes on: no system lets it jump.
"""

import datetime
import os
import random
import time

_draw, _true_time = random.Random(os.environ["BENCH_SOAK_CLOCK"]), time.time


def _jump() -> float:
    return _draw.choice((0.0, 0.0, -3600.0, 3600.0, -86400.0, 86400.0))


class Jumping(datetime.datetime):
    """Now is another time each time."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return super().now(tz) + datetime.timedelta(seconds=_jump())


time.time = lambda: _true_time() + _jump()
datetime.datetime = Jumping
