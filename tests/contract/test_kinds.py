"""What holds for every kind of result: each format shows it without knowing it, and names what is damaged."""

from __future__ import annotations

import copy
import csv
import dataclasses
import functools
import io
import itertools
import json
import operator
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import ENVIRONMENT, folder_of_every_kind, result

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.common.columns import SAMPLES
from bench_deepspeed.benchmarks.common.kind import Item, Kind, Subject, facets
from bench_deepspeed.benchmarks.run import metrics as run_metrics
from bench_deepspeed.benchmarks.run import view as run_view
from bench_deepspeed.benchmarks.run.kind import KIND as RUN
from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.core.json_files import read_json
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.records import Environment, Result
from bench_deepspeed.model import catalog
from bench_deepspeed.report import terminal, vega
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Quoted, Section, Table, Text, Warnings
from bench_deepspeed.report.chart import Axis, Lines, Point, Series
from bench_deepspeed.results import export, files, foreign, glossary
from bench_deepspeed.results.compare import comparison

HOSTILE = "</script><script>alert(1)</script><!-- & | `x`\x1b[2J\u202e"


@dataclasses.dataclass
class Toy:
    """A content that no format has seen."""

    name: str
    bounces: list[int]
    status: str = "complete"
    error: str | None = None
    environment: Environment = dataclasses.field(default_factory=lambda: ENVIRONMENT)
    kind: str = "toy"
    schema_version: int = 1


def toy_overview(items: list[Item[Toy]], compact: bool) -> list[Block]:
    return [block for item in items for block in toy_blocks(item.content, Link("JSON", item.path))]


def toy_blocks(toy: Toy, link: Link | None = None) -> list[Block]:
    """One of each type of block."""
    keys = facets(toy.name, "spring", "Some GPU", "float8")
    points = tuple(Point(n, height) for n, height in enumerate(toy.bounces, 1))
    series = Series("height", points, tuple(keys))
    chart = Lines("Heights", Axis("bounce"), Axis("height", "cm"), (series,), f"Heights of {toy.name}")
    return [
        Text("the toy `bounces`", strong=True, link=link),
        Facts({"bounces": str(len(toy.bounces))}, "Counted"),
        Warnings([("low_bounce", "it bounces low", "wind it up")]),
        Table([{"height": str(height), "says": Quoted(HOSTILE)} for height in toy.bounces], "Bounces"),
        Section("Curve", [Figure(chart, "toy-heights", "Heights")], facets=keys),
        Section("All bounces", [Table([{"bounce": "seen on demand"}], "All bounces")], folded=True),
    ]


PUBLISHED = [kind.name for kind in registry.kinds() if files.published_of(kind)]
"""The kinds of which a file is published: what these tests read."""
TOY = Kind(
    name="toy",
    file="toy.json",
    title="Toys",
    what="a toy",
    load=lambda path: read_json(Toy, path, 1, "a toy"),
    fields=frozenset({"bounces"}),
    subject=lambda toy: Subject((toy.name,), "pretrained", ("spring",), ("float8",), "cuda", "2026-01-02"),
    metrics=(Metric("highest_cm", "highest", "", "the highest bounce", lambda toy: max(toy.bounces)),),
    rows=lambda toy: [toy],
    view=toy_blocks,
    overview=toy_overview,
    headline=lambda toy: str(max(toy.bounces)),
    warnings=lambda toy: [],
    refusal=lambda toy: None,
    published="toys",
    samples=lambda toy: [{"phase": "bounce", "index": n, "seconds": float(h)} for n, h in enumerate(toy.bounces, 1)],
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A file of a kind that one line in the registry adds."""
    monkeypatch.setitem(sys.modules, "toys", SimpleNamespace(KIND=TOY))
    monkeypatch.setitem(registry.KINDS, "toy", "toys")
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(dataclasses.asdict(Toy("ball", [30, 20]))))
    yield path
    registry.kind.cache_clear()


def shown(path: Path, form: str, samples: bool = False) -> str:
    """What `bench.sh report FILE --format` writes."""
    output = path.parent / "out"
    export.run(SimpleNamespace(files=[path], format=form, output=output, samples=samples, gpu_hour=None))
    return output.read_text(encoding="utf-8")


def test_a_new_kind_is_on_the_page(toy):
    page = shown(toy, "html")
    for words in (
        '<section id="toy">',
        "<h2>Toys</h2>",
        '<a href="#toy">Toys</a>',
        '<p class="verdict">The toy <code>bounces</code>. <a href="#file-1">toy.json</a></p>',
        "<dt>bounces</dt><dd>2</dd>",
        "<code>low_bounce</code> It bounces low.",
        "Remedy: wind it up.",
        '<td class="short">30</td>',
        "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- &amp; | `x`\\x1b[2J\\u202e",
        'aria-label="Heights of ball"',
        "<summary>All bounces</summary>",
        "<td>seen on demand</td>",
    ):
        assert words in page, words
    assert "<script>alert" not in page
    assert not {"\x1b", "\u202e"} & set(page)


def test_a_new_kind_is_in_a_document(toy):
    text = shown(toy, "markdown")
    verdict, warning = "**The toy `bounces`.** [JSON](toy.json)", "Warning low_bounce: it bounces low"
    for words in (verdict, warning, "| 30 ", "**Curve**"):
        assert words in text, words
    assert "seen on demand" not in text


def test_a_new_kind_has_flat_lines(toy):
    (line,) = shown(toy, "jsonl").splitlines()
    row = json.loads(line)
    assert (row["kind"], row["model"], row["engine"], row["highest_cm"]) == ("toy", "ball", "spring", 30)
    head, cells = shown(toy, "csv").splitlines()
    assert dict(zip(head.split(","), cells.split(","), strict=True))["highest_cm"] == "30"
    first, *_ = shown(toy, "jsonl", samples=True).splitlines()
    assert json.loads(first).keys() == SAMPLES.keys()
    assert (json.loads(first)["phase"], json.loads(first)["seconds"]) == ("bounce", 30.0)


def test_a_new_kind_is_on_the_terminal(toy):
    text = terminal.render(TOY.view(TOY.load(toy)))
    for words in ("the toy `bounces`", "bounces  2", "warning low_bounce: it bounces low; wind it up", "| 30 "):
        assert words in text, words


BOUNCES = Metric("bounces_per_s", "bounces", "requests/s", "how often it bounces", lambda _: 12.5, "higher")


@pytest.fixture
def bounces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The file of a run, and one line more in the metrics of runs."""
    path = tmp_path / "run.json"
    result().save(path)
    extended = (*run_metrics.METRICS, BOUNCES)
    monkeypatch.setattr(run_metrics, "METRICS", extended)
    monkeypatch.setitem(sys.modules, "runs", SimpleNamespace(KIND=dataclasses.replace(RUN, metrics=extended)))
    monkeypatch.setitem(registry.KINDS, "run", "runs")
    registry.kind.cache_clear()
    yield path
    registry.kind.cache_clear()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("markdown", "12.50"),
        ("html", "<dt>bounces</dt><dd>12.50</dd>"),
        ("csv", "bounces_per_s"),
        ("jsonl", '"bounces_per_s": 12.5'),
    ],
)
def test_a_new_metric_is_in_every_format(bounces, form, words):
    assert words in shown(bounces, form)


def test_a_new_metric_is_on_the_terminal_in_compare_and_in_the_glossary(bounces):
    one = Result.load(bounces)
    assert re.search(r"^bounces +12\.50 requests/s$", terminal.render(RUN.view(one)), re.MULTILINE)
    assert any("bounces" in line and "12.50" in line for line in run_view.log_lines(one))
    assert BOUNCES in comparison.compared()
    assert "how often it bounces" in glossary.table("run")


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are described, and not compiled: what a file says is in their description."""
    monkeypatch.setattr(vega, "_compiled", lambda chart, place: {})


@pytest.mark.parametrize("form", export.WRITERS)
@pytest.mark.parametrize("kind", PUBLISHED)
def test_what_is_published_is_shown_in_every_format(kind, form, tmp_path, no_drawing):
    for path in files.published_of(registry.kind(kind)):
        copied = Path(shutil.copy(path, tmp_path / path.name))
        (item,) = files.read([copied])
        text, rows = shown(copied, form), item.kind.rows(item.content)
        if form in ("csv", "jsonl"):
            lines = list(csv.reader(io.StringIO(text))) if form == "csv" else text.splitlines()
            assert len(lines) == len(rows) + (form == "csv")
        else:
            assert any(model in text or catalog.load(model).title in text for model in item.subject.models)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_what_is_published_is_shown_on_the_terminal(kind):
    for path in files.published_of(registry.kind(kind)):
        assert terminal.render(registry.kind(kind).view(registry.kind(kind).load(path)))


@pytest.mark.parametrize("kind", ["run", "ab"])
def test_every_saved_sample_is_on_the_page(kind, tmp_path, no_drawing):
    """Of the kinds whose samples are single generations."""
    path = example(kind, tmp_path)
    (item,) = files.read([path])
    page = shown(path, "html")
    timed = [sample for sample in item.kind.samples(item.content) if sample["phase"] == "timed"]
    assert timed
    assert all(f">{sample['seconds']:.6f}</td>" in page for sample in timed)


def example(kind: str, folder: Path) -> Path:
    """A file of that kind, with all that one can hold."""
    made = {registry.kind_of(json.loads(path.read_text())).name: path for path in folder_of_every_kind(folder)}
    if kind in made:
        return made[kind]
    first, *_ = files.published_of(registry.kind(kind))
    return Path(shutil.copy(first, folder / registry.kind(kind).file))


DAMAGED = {
    "cut": lambda text: text[: len(text) // 2],
    "binary": lambda text: "\udcff",
    "a list": lambda text: "[]",
    "of no kind": lambda text: '{"kind": "holiday"}',
    "without a field": lambda text: json.dumps(dict(list(json.loads(text).items())[1:]) | {"kind": "of none"}),
    "of another version": lambda text: json.dumps({**json.loads(text), "schema_version": 99}),
}


@pytest.mark.parametrize("form", export.WRITERS)
@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_damaged_file_is_one_line_that_names_it(kind, damage, form, tmp_path):
    path = example(kind, tmp_path)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UsageError) as refused:
        shown(path, form)
    assert path.name in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def places(value: object, above: tuple = ()) -> Iterator[tuple]:
    """Where each value of a JSON lies; of a list that of its first element."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*above, key)
        yield from places(part, (*above, key))


ALTERED = {"a number": 5, "zero": 0, "words": "x", "nothing": None, "a list": [1, "x"], "a table": {"x": 1}}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_an_altered_file_is_shown_or_named_in_one_line(kind, tmp_path, no_drawing):
    """Whatever of it was altered, and to whichever of these values: no format ends in a traceback."""
    path = example(kind, tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    refused = 0
    forms = ["markdown", "csv", *(form for form, said in foreign.SAID.items() if said(registry.kind(kind)))]
    turns = zip(places(content), itertools.cycle(ALTERED.values()), itertools.cycle(forms), strict=False)
    for (*above, last), value, form in turns:
        altered = copy.deepcopy(content)
        functools.reduce(operator.getitem, above, altered)[last] = value
        path.write_text(json.dumps(altered), encoding="utf-8")
        try:
            shown(path, form)
        except BenchError as error:
            assert path.name in str(error), (above, last, form)
            assert "\n" not in str(error), (above, last, form)
            refused += 1
    assert refused


@pytest.mark.parametrize("form", export.WRITERS)
def test_an_unknown_model_is_named_with_its_file(form, tmp_path, no_drawing):
    """The reader of manifests knows no file: each format names the file that it came from, or needs no manifest."""
    content = {**json.loads(example("selftest", tmp_path).read_text())}
    content["scenario"] = {**content["scenario"], "model": "nobody's"}
    path = tmp_path / "selftest.json"
    path.write_text(json.dumps(content))
    if form in ("csv", "jsonl"):
        assert "nobody's" in shown(path, form)
        return
    with pytest.raises(UsageError, match='selftest.json: "nobody.s" is not a model of this suite'):
        shown(path, form)


@pytest.mark.parametrize("changed", [{"title": "shares a name"}, {"name": "shares_a_title"}], ids=["name", "title"])
def test_a_metric_with_the_name_or_the_title_of_another_is_refused(changed):
    run = RUN
    with pytest.raises(ValueError, match="two metrics of run have one name"):
        dataclasses.replace(run, metrics=(*run.metrics, dataclasses.replace(run_metrics.SPEED, **changed)))
