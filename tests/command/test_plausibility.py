"""The gate: what no device can do is refused with the arithmetic, and what it can do passes."""

from __future__ import annotations

import json

from support import error_of


def outcome(folder) -> dict:
    (path,) = folder.glob("out/smollm2/*/result.json")
    return json.loads(path.read_text())


SHORT = ("-n", "smollm2", "-r", "1", "--warmups", "0")


def test_a_wrong_engine_is_found(bench, tmp_path):
    """A million tokens of SmolLM2 in float32 within seconds would be hundreds of TB/s."""
    done = bench.fake(*SHORT, "-m", "1000000", behaviour={"lies": True, "seconds": [0.01]})
    assert done.returncode == 6
    assert done.stdout == ""
    message = error_of(done.stderr)
    assert "impossible: repetition 1: " in message
    assert "B/s, but this device was measured at " in message
    kept = outcome(tmp_path)
    assert (kept["status"], kept["error"]) == ("failed", message)
    assert kept["engine"]["reads_weights"] is True
    assert kept["limits"]["precision"] == "float32"
    assert len(kept["runs"][0]["samples"]) == 1


def test_an_engine_that_reads_nothing_is_neither_measured_nor_refused(bench, tmp_path):
    done = bench.fake(*SHORT, "-m", "1000000", behaviour={"seconds": [0.01]})
    assert done.returncode == 0, done.stderr
    kept = outcome(tmp_path)
    assert (kept["limits"], kept["engine"]["reads_weights"]) == (None, False)
    assert kept["scenario"]["varied"] is True
    assert len(kept["runs"][0]["prompts_sha256"]) == 64
