"""Labels of points: clear of markers, lines and each other, and within the chart."""

from __future__ import annotations

import itertools

import pytest

from bench_deepspeed.report.label_places import CHARACTER_PX, HEIGHT_PX, MARKER_PX, Box, offsets

SIZE = (760, 380)
STEEP = [(100.0, 300.0), (150.0, 290.0), (158.0, 200.0), (230.0, 80.0)]
NEAR = [(104.0, 306.0), (162.0, 288.0), (240.0, 190.0), (300.0, 90.0)]


def boxes(points: list[tuple[float, float]], places: list[tuple[float, float]], text: str) -> list[Box]:
    width = CHARACTER_PX * len(text)
    return [Box.around(x + dx, y + dy, width, HEIGHT_PX) for (x, y), (dx, dy) in zip(points, places, strict=True)]


def test_labels_of_crossing_lines_cover_nothing():
    points = [*STEEP, *NEAR]
    shown = boxes(points, offsets([(point, "16") for point in points], [STEEP, NEAR], SIZE), "16")
    markers = [Box.around(x, y, 2 * MARKER_PX, 2 * MARKER_PX) for x, y in points]
    assert [pair for pair in itertools.combinations(shown, 2) if pair[0].overlap(pair[1])] == []
    assert [(one, other) for one in shown for other in markers if one.overlap(other)] == []


@pytest.mark.parametrize("corner", [(0.0, 0.0), (760.0, 0.0), (0.0, 380.0), (760.0, 380.0)])
def test_a_label_in_a_corner_is_within_the_chart(corner):
    (box,) = boxes([corner], offsets([(corner, "1024")], [], SIZE), "1024")
    assert (box.left, box.top) >= (0, 0)
    assert box.right <= SIZE[0]
    assert 0 <= box.top < box.bottom <= SIZE[1]


def test_a_label_with_room_stands_above_its_point():
    assert offsets([((300.0, 200.0), "8")], [], SIZE) == [(0.0, pytest.approx(-13.0))]
