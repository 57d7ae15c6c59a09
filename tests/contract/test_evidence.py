"""What a finished file says of itself: each kind's is verified, and whatever of it is altered is found."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import operator
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import folder_of_every_kind

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common import evidence
from bench_deepspeed.benchmarks.common.kind import Kind, Subject
from bench_deepspeed.core.errors import DAMAGE, BenchError, ImpossibleError
from bench_deepspeed.core.json_files import read_json
from bench_deepspeed.machine.software import source_digest
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.records import Environment
from bench_deepspeed.results import files
from bench_deepspeed.results.verify import verify


@pytest.mark.parametrize("path", files.published(), ids=lambda path: path.name)
def test_what_is_published_is_verified_or_has_no_digest(path):
    verified = verify(path)
    assert not verified.differs
    assert verified.samples > 0
    assert str(verified).startswith("no digest: " if verified.unclosed else "verified: ")


@pytest.fixture(scope="module")
def closed(tmp_path_factory) -> dict[str, str]:
    """Of each kind the text of a file that this version has written and closed."""
    folder = tmp_path_factory.mktemp("closed")
    paths = {registry.kind_of(json.loads(path.read_text())).name: path for path in folder_of_every_kind(folder)}
    for name in registry.KINDS:
        if name not in paths:
            first, *_ = files.published_of(registry.kind(name))
            paths[name] = Path(shutil.copy(first, folder / f"{name}.json"))
    return {name: close(registry.kind(name), path) for name, path in paths.items()}


def close(kind: Kind, path: Path) -> str:
    """Have the file be one of this version, which computed what is derived in it. Returns its text."""
    data = json.loads(path.read_text())
    for part in [data[side] for side in "ab"] if kind.name == "ab" else [data]:
        part["environment"]["source"] = source_digest()
    for place, value in kind.recomputed(kind.load(path)).items():
        put(data, place, value)
    path.write_text(json.dumps(data))
    evidence.close(kind, path)
    return path.read_text()


def put(data: object, place: tuple, value: object) -> None:
    *above, last = place
    functools.reduce(operator.getitem, above, data)[last] = value


def at(data: object, place: tuple) -> object:
    return functools.reduce(operator.getitem, place, data)


@pytest.mark.parametrize("name", registry.KINDS)
def test_what_was_just_closed_is_verified(name, closed, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(closed[name])
    verified = verify(path)
    assert (verified.differs, verified.derived, verified.altered) == (False, [], [])
    data = json.loads(closed[name])
    assert verified.values > len(data["digests"]) + sum(map(len, data["derived"])) - 1
    assert str(verified) == (
        f"verified: {verified.values:,} derived values recomputed from {verified.samples:,} samples"
    )


def leaves(value: object, above: tuple = ()) -> Iterator[tuple]:
    """Where the single values of a JSON lie; of each list in its first and last element."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = {0: value[0], len(value) - 1: value[-1]}.items() if value else ()
    else:
        yield above
        return
    for key, part in inner:
        yield from leaves(part, (*above, key))


@pytest.mark.parametrize("name", registry.KINDS)
def test_whatever_is_altered_is_found(name, closed, tmp_path):
    """By its digest; of some of it the whole file is verified, unless it is refused when it is read."""
    data, path, found = json.loads(closed[name]), tmp_path / "x.json", 0
    kind = registry.kind(name)
    places = [place for place in leaves(data) if place[0] != "digests"]
    for number, place in enumerate(places[:: len(places) // 100 or 1]):
        altered = {**data, place[0]: copy.deepcopy(data[place[0]])}
        value = at(data, place)
        put(altered, place, value * 1.01 + 1 if isinstance(value, float) else 7 if value != 7 else 8)
        assert evidence.digest(altered[place[0]]) != data["digests"][place[0]], place
        if number % 12:
            continue
        path.write_text(json.dumps(altered))
        with contextlib.suppress(BenchError, *DAMAGE):
            assert evidence.verify(kind, path).differs, place
            found += 1
    assert found > 1


SAMPLES = {
    "run": [("runs", 0, "samples", 0, "seconds"), ("latency", "ttft_s", 0), ("limits", "read_bytes_per_s")],
    "ab": [("a", "runs", 0, "samples", 0, "seconds"), ("b", "runs", 1, "samples", 1, "seconds")],
    "sweep": [("scenarios", 0, "prefill", 0, "seconds"), ("scenarios", 0, "total", 1, "seconds")],
    "load": [("levels", 0, "records", 3, "first_s"), ("levels", 1, "tokens_in_window"), ("levels", 0, "window_s", 1)],
    "quality": [("candidates", 0, "engine", 0, "early", "kl", 0), ("candidates", 0, "engine", 1, "edit_similarity")],
    "selftest": [("comparisons", 3, "harness_s", 0), ("comparisons", 4, "bare_s", 1)],
    "referee": [("runs", 0, "reported", "ttft", "p50"), ("runs", 3, "truth", "ttft", "p99"), ("runs", 0, "cpu_s")],
}
"""Kind → some of what was measured."""
DERIVED = {
    "run": [("warnings", 0, "text"), ("derived", 0, "tokens_per_s_mean"), ("derived", 0, "mbu")],
    "ab": [("warnings", 0, "code"), ("derived", 0, "ratio"), ("derived", 0, "ratio_high")],
    "sweep": [("scenarios", 0, "status"), ("derived", 0, "decode_tokens_per_s")],
    "load": [("derived", 0, "ttft_p50_s"), ("derived", 1, "requests_per_s")],
    "quality": [("candidates", 0, "verdict", "ok"), ("derived", 0, "early_mean_kl")],
    "selftest": [("comparisons", 3, "ratio"), ("comparisons", 0, "low"), ("comparisons", 0, "verdict")],
    "referee": [("derived", 1, "ttft_p50_error"), ("derived", 1, "cpu_request_s")],
}
"""Kind → some of what its file derives from that."""


def every(table: dict[str, list[tuple]]) -> list[tuple[str, tuple]]:
    return [(name, place) for name, places in table.items() for place in places]


@pytest.mark.parametrize(("name", "place"), [*every(SAMPLES), *every(DERIVED)])
def test_with_new_digests_the_derived_values_still_show_it(name, place, closed, tmp_path):
    """Who alters a number and makes the digests again is found by what is computed."""
    data, path = json.loads(closed[name]), tmp_path / "x.json"
    value = at(data, place)
    put(data, place, value * 1.2 if isinstance(value, float | int) and not isinstance(value, bool) else "impossible")
    if isinstance(value, bool):
        put(data, place, not value)
    data["digests"] = evidence.digests(data)
    path.write_text(json.dumps(data))
    verified = evidence.verify(registry.kind(name), path)
    assert (verified.differs, verified.altered) == (True, [])
    assert str(verified).startswith("differs: ")
    assert " in the file, " in str(verified)


def test_both_tables_name_every_kind():
    assert list(SAMPLES) == list(DERIVED) == list(registry.KINDS)


@pytest.mark.parametrize("without", ["digests", "derived"])
def test_a_file_that_lost_its_digests_or_derived_values_is_not_taken_for_an_old_one(without, closed, tmp_path):
    path, data = tmp_path / "x.json", json.loads(closed["run"])
    del data[without]
    path.write_text(json.dumps(data))
    assert verify(path).differs


def test_a_run_that_was_killed_has_no_digest_and_is_not_altered(closed, tmp_path):
    path, data = tmp_path / "x.json", json.loads(closed["run"])
    killed = {name: value for name, value in data.items() if name not in ("digests", "derived")}
    path.write_text(json.dumps({**killed, "status": "running"}))
    assert not verify(path).differs
    assert str(verify(path)).startswith("no digest: its run has not ended, or was killed; 0 derived values ")


def test_other_rules_are_reported_and_other_samples_are_found(closed, tmp_path):
    """Of a file that another version wrote, the digests hold, and what this version computes otherwise is said."""
    path, data = tmp_path / "x.json", json.loads(closed["run"])
    data["environment"] |= {"source": "another", "commit": "c0ffee" * 7}
    data["derived"][0]["tokens_per_s_low"] = 0.5
    data["digests"] = evidence.digests(data)
    path.write_text(json.dumps(data))
    assert not verify(path).differs
    assert "of which 1 differ by the rules of this version (its own is c0ffeec0ffee)" in str(verify(path))
    data["runs"][0]["samples"][0]["seconds"] = 9.0
    path.write_text(json.dumps(data))
    assert "differs: runs does not match" in str(verify(path))


def test_what_is_impossible_or_not_complete_gets_no_derived_values(tmp_path, monkeypatch):
    path = folder_of_every_kind(tmp_path)[0]
    kind = registry.kind("run")
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "status": "interrupted"}))
    evidence.close(kind, path)
    assert json.loads(path.read_text())["derived"] == []
    path.write_text(json.dumps(data))
    refuse = SimpleNamespace(check=lambda *_: (_ for _ in ()).throw(ImpossibleError("too fast")))
    monkeypatch.setattr("bench_deepspeed.benchmarks.common.kind.plausibility", refuse)
    evidence.close(kind, path)
    assert json.loads(path.read_text())["derived"] == []


@dataclasses.dataclass
class Toy:
    """A content of a kind with nothing but metrics."""

    heights: list[float]
    status: str = "complete"
    error: str | None = None
    environment: Environment = dataclasses.field(default_factory=lambda: Environment(source=source_digest()))
    kind: str = "toy"
    schema_version: int = 1


TOY = Kind(
    name="toy",
    file="toy.json",
    title="Toys",
    what="a toy",
    load=lambda path: read_json(Toy, path, 1, "a toy"),
    subject=lambda toy: Subject(("ball",), "pretrained", ("spring",), ("float8",), "cpu", "2026-01-02"),
    metrics=(Metric("highest_cm", "highest", "", "the highest bounce", lambda toy: max(toy.heights)),),
    rows=lambda toy: [toy],
    view=lambda toy: [],
    overview=lambda items, compact: [],
    published="toys",
)


def test_a_kind_that_says_nothing_of_it_is_verified_by_its_metrics(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "toys", SimpleNamespace(KIND=TOY))
    monkeypatch.setitem(registry.KINDS, "toy", "toys")
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(dataclasses.asdict(Toy([30.0, 20.0]))))
    evidence.close(TOY, path)
    assert str(verify(path)) == "verified: 8 derived values recomputed from 0 samples"
    data = json.loads(path.read_text())
    assert data["derived"] == [{"highest_cm": 30.0}]
    data["heights"][0] = 40.0
    data["digests"] = evidence.digests(data)
    path.write_text(json.dumps(data))
    assert str(verify(path)) == "differs: derived.0.highest_cm is 30.0 in the file, 40.0 recomputed"
    registry.kind.cache_clear()
