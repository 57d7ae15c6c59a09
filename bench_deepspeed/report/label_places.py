"""Where the labels of points stand: next to their points, and clear of lines, markers and each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CHARACTER_PX, HEIGHT_PX, MARKER_PX, LINE_PX = 7.5, 12.0, 7.0, 4.0
DISTANCES_PX = (13.0, 20.0, 28.0)
DIRECTIONS = 16
"""So many places around a point are tried at each distance."""
MOST_LABELS = 40
"""Of more labels each stands above its point: they have no room, and to try all places would take minutes."""

Pixel = tuple[float, float]


class Box(NamedTuple):
    """A rectangle, in px."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Box:
        """The rectangle of that size with its middle there."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(across, 0.0) * max(down, 0.0)


def offsets(labels: Sequence[tuple[Pixel, str]], lines: Iterable[Sequence[Pixel]], size: Pixel) -> list[Pixel]:
    """(dx, dy) of the middle of each label from its point, in px.

    `labels`: each point and its text. `lines`: the points that each line leads through. `size` of the whole chart. One
    label after the other takes the place that covers the least, and among equals the nearest.
    """
    if len(labels) > MOST_LABELS:
        return [(0.0, -DISTANCES_PX[0])] * len(labels)
    markers = [Box.around(x, y, 2 * MARKER_PX, 2 * MARKER_PX) for (x, y), _ in labels]
    taken = [*markers, *(Box.around(*place, LINE_PX, LINE_PX) for line in lines for place in _along(line))]
    inside = Box(0, 0, *size)
    found = []
    for (x, y), text in labels:
        width = CHARACTER_PX * len(text)
        places = [(dx * (1 + width / 40), dy) for dx, dy in _around()]
        boxes = [Box.around(x + dx, y + dy, width, HEIGHT_PX) for dx, dy in places]
        reach = Box(*(least(side) for least, side in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)))
        near = [box for box in taken if box.overlap(reach)]
        costs = [_cost(box, near, inside) + distance / 1e3 for distance, box in enumerate(boxes)]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        found.append(places[best])
    return found


def _around() -> list[Pixel]:
    """Places around a point, the nearest first, beginning above it."""
    turns = sorted(range(DIRECTIONS), key=lambda n: min(n, DIRECTIONS - n))
    angles = [2 * math.pi * n / DIRECTIONS for n in turns]
    return [(px * math.sin(a), -px * math.cos(a)) for px, a in itertools.product(DISTANCES_PX, angles)]


def _along(line: Sequence[Pixel]) -> list[Pixel]:
    """Places on a line, its thickness apart."""
    places = []
    for (x, y), (u, v) in itertools.pairwise(line):
        count = max(1, math.ceil(math.hypot(u - x, v - y) / LINE_PX))
        places += [(x + (u - x) * n / count, y + (v - y) * n / count) for n in range(count + 1)]
    return places


def _cost(box: Box, taken: Sequence[Box], inside: Box) -> float:
    """What a label would cover, and of itself what is outside the chart, which is worse."""
    area = (box.right - box.left) * (box.bottom - box.top)
    return sum(box.overlap(other) for other in taken) + 10 * (area - box.overlap(inside))
