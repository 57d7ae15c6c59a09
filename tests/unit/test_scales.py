"""The scale of an axis: it holds its values, and its ticks are round and few."""

from __future__ import annotations

import math

import pytest

from bench_deepspeed.report.chart import Axis
from bench_deepspeed.report.scales import PADDING_PX, TICKS, scale_of


@pytest.mark.parametrize("values", [[3.0, 7.2], [0.0031, 0.0094], [-3.0, 12_054.0], [5.0], [], [0.97, 1.02]])
@pytest.mark.parametrize("from_zero", [False, True])
def test_a_linear_scale_holds_its_values_between_round_ticks(values, from_zero):
    scale = scale_of(Axis("x", from_zero=from_zero), values)
    assert scale.low <= min(values, default=scale.low) <= max(values, default=scale.high) <= scale.high
    assert not from_zero or scale.low <= 0 <= scale.high
    assert (scale.ticks[0], scale.ticks[-1]) == (scale.low, scale.high)
    assert 2 <= len(scale.ticks) <= 9
    steps = {float(f"{b - a:.6g}") for a, b in zip(scale.ticks, scale.ticks[1:], strict=False)}
    (step,) = steps
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)


def test_places_go_from_one_end_to_the_other():
    scale = scale_of(Axis("x", from_zero=True), [10.0])
    assert (scale.place(0.0, 500), scale.place(scale.high, 500)) == (0.0, 500.0)
    powers = scale_of(Axis("x", log=True), [1.0, 16.0, 256.0])
    assert [powers.place(x, 500) for x in (1, 16, 256)] == pytest.approx([PADDING_PX, 250, 500 - PADDING_PX])


def test_a_scale_of_powers_has_its_ticks_where_its_points_are_unless_they_are_many():
    few, many = [1.0, 4.0, 256.0], [1.5**n for n in range(TICKS + 1)]
    assert scale_of(Axis("x", log=True), few, of_points=True).ticks == few
    assert len(scale_of(Axis("x", log=True), many, of_points=True).ticks) <= TICKS
