"""Files as nobody wrote them: results, questions, traces, settings with values, structure or bytes changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_deepspeed.core.paths import MODELS, QUESTIONS

TEXT = '\x1b[31m<script>alert(1)</script>|`x`\u202e\n"'
VALUES: tuple[Any, ...] = (None, True, 0, -1, 1e308, 1e-308, float("nan"), float("inf"), 2**70, 10**400, "", "x", TEXT)
VALUES += ("1", [], {}, [[]], [None], {"": None}, "x" * 5000, "2026-01-01", "complete", "\ud800", [0] * 50, -0.0)
PIECES = (b"\0", b"\xff", b"\xef\xbb\xbf", b"[" * 3000, b"9" * 5000, b"\r", b'"', b"}", b",", b"\n", b"1e999")
WHOLE = (b"", b"[]", b"{}", b"null", b"[" * 100_000, b'{"kind": []}', b'{"schema_version": 1}', b"\xff\xfe")
WHOLE += (b"1" * 5000, b"a,b\n1\n", b'"' * 999, b"\x1f\x8b\x08", b"PK\x03\x04", b'{"kind": "run"}')
FORMATS = ("markdown", "csv", "jsonl", "html")
ASKED = ([], ["--json"], ["2026-01-01T10-00-00"])
RESULTS = ("result", "sweep", "load", "ab", "quality")


def _places(data: Any, place: tuple = ()) -> Iterator[tuple]:
    """Every place in a JSON."""
    yield place
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from _places(value, (*place, key))


def _changed_value(draw: random.Random, content: bytes) -> bytes:
    """One to three values of a JSON replaced, left out, or doubled."""
    data = json.loads(content)
    for _ in range(draw.randint(1, 3)):
        places = [place for place in _places(data) if place]
        if not places:
            break
        *above, key = draw.choice(places)
        holder = data
        for step in above:
            holder = holder[step]
        match draw.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(holder[key])
            case 2 if isinstance(holder, dict):
                holder[draw.choice(("kind", "schema_version", "x", TEXT))] = draw.choice(VALUES)
            case _:
                holder[key] = draw.choice(VALUES)
    return json.dumps(data).encode("utf-8", "surrogatepass")


def _cut(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _flipped(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content or b" ")
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _inserted(draw: random.Random, content: bytes) -> bytes:
    at = draw.randrange(len(content) + 1)
    piece = draw.choice(
        (b"\0", b"\xff", b"\xef\xbb\xbf", b"[" * 3000, b"9" * 5000, b"\r", b'"', b"}", b",", b"\n", b"1e999")
    )
    return content[:at] + piece + content[at:]


def _replaced(draw: random.Random, _content: bytes) -> bytes:
    whole = (
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"kind": []}',
        b'{"schema_version": 1}',
        b"\xff\xfe",
        b"1" * 5000,
    )
    return draw.choice((*whole, b"a,b\n1\n", b'"' * 999, b"\x1f\x8b\x08", b"PK\x03\x04", b'{"kind": "run"}'))


WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _changed_value,
    _changed_value,
    _cut,
    _flipped,
    _inserted,
    _replaced,
)


def originals(folder: Path) -> dict[str, bytes]:
    """Name → content of the files that are changed."""
    from builders import folder_of_every_kind

    scratch = folder / "originals"
    scratch.mkdir()
    found = {path.name: path.read_bytes() for path in folder_of_every_kind(scratch)}
    found["questions.json"] = QUESTIONS.read_bytes()
    found["smollm2.json"] = (MODELS / "smollm2.json").read_bytes()
    rows = [{"arrival_s": n / 2, "prompt_tokens": 4, "output_tokens": 2} for n in range(5)]
    found["trace.jsonl"] = "\n".join(map(json.dumps, rows)).encode()
    found["trace.csv"] = b"arrival_s,prompt_tokens,output_tokens\n0,4,2\n1,4,2\n"
    found["prompts.csv"] = b"id,prompt\n1,hello\n2,there\n"
    found["flags.toml"] = b'engine = "fake"\nmax_tokens = 4\n[run]\nrepetitions = 2\nquick = true\n'
    return found


def mutated(draw: random.Random, content: bytes) -> bytes:
    """The content, changed in one way; in the ways of bytes alone where it is no JSON."""
    way = draw.choice(WAYS)
    try:
        return way(draw, content)
    except (ValueError, RecursionError):
        return _flipped(draw, content)


def commands(name: str, number: int) -> list[list[str]]:
    """The commands that read a file of this name; `number` is of a folder of runs that holds it."""
    load, cpu = ["load", "--target", "stub", "--clients", "1"], ["-d", "cpu"]
    stem = name.partition(".")[0]
    if stem in RESULTS:
        formats = [
            ["report", name, "--format", form, "--output", "page"] for form in ("markdown", "csv", "jsonl", "html")
        ]
        listed = [
            ["results", "--output_dir", f"logs{number}", *more] for more in ([], ["--json"], ["2026-01-01T10-00-00"])
        ]
        more = {"sweep": [["sweep", "--resume", name, *cpu]], "load": [[*load, "--beside", name]]}.get(stem, [])
        compare = [["compare", name, "good.json", "--force"]] if stem == "result" else []
        return [*formats, ["report", "--verify", name], *listed, *compare, *more]
    return {
        "questions": [["quality", *cpu, "--questions", name], [*load, "--prompts", name]],
        "smollm2": [[*cpu, "-n", "smollm2", "--dry_run"], ["models"], ["sweep", *cpu, "-n", "smollm2", "--dry_run"]],
        "trace": [["load", "--target", "stub", "--trace", name]],
        "prompts": [[*load, "--prompts", name], [*cpu, "--engine", "fake", "--prompt_file", name]],
        "flags": [["--config", name, *cpu], ["sweep", "--config", name, *cpu, "--dry_run"]],
    }[stem]
