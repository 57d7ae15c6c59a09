"""The load generator against a real server of known behaviour over loopback. No speed is asserted."""

from __future__ import annotations

import pytest

from bench_deepspeed.simulations import load_generator


@pytest.mark.parametrize("target", load_generator.EVIDENCE)
def test_the_proof_of_the_generator_says_what_it_found(target):
    found = load_generator.evidence(0.5, target, ((load_generator.SHORT, (20.0,)),))
    (row,) = found["rows"]
    assert row["requests"] > 0
    assert row["failed"] == 0
    assert row["e2e_p50_error"] > 0
    assert row["e2e_s"] == pytest.approx(0.1)
    assert found["highest_right_rate"] == (20.0 if row["right"] else None)
