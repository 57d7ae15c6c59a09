"""What every format and command needs to know of a kind of result. `registry` lists the kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.core.text import REMOTE
from bench_deepspeed.measure import plausibility
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.records import Environment, Result
from bench_deepspeed.model import catalog
from bench_deepspeed.report.blocks import Block, Facets, Headline


class Content(Protocol):
    """What is common to the contents of every result file."""

    status: str
    error: str | None
    environment: Environment


Place = tuple[str | int, ...]
"""A place in a JSON: keys and indices from its top."""
Saved = TypeVar("Saved", bound=Content)
Row = TypeVar("Row")


@dataclass(frozen=True)
class Subject:
    """What a result is about, whatever its kind. A value that differs within the file is in several, or in none."""

    models: tuple[str, ...]
    weights: str
    engines: tuple[str, ...]
    precisions: tuple[str, ...]
    device: str
    started_at: str
    """The last time that it was started, UTC, ISO 8601."""
    tensor_parallel: tuple[int, ...] = (1,)


def status_refusal(content: Content) -> str | None:
    """Why a measurement that is not complete must not be published; None for one that is."""
    return None if content.status == "complete" else f"its status is {content.status!r}"


@dataclass(frozen=True)
class Kind(Generic[Saved, Row]):
    """A kind of result: how a file of it is read, what its rows are, and how it is shown.

    `rows` are what `metrics` are of: the result itself, or each scenario, level or precision of it. `view` shows
    one result whole; `overview` shows several next to each other, as the documents and the page do, with few columns
    where `compact`.
    """

    name: str
    file: str
    title: str
    """The heading of its section."""
    what: str
    """In messages: "a result"."""
    load: Callable[[Path], Saved]
    subject: Callable[[Saved], Subject]
    metrics: tuple[Metric[Row], ...]
    rows: Callable[[Saved], Sequence[Row]]
    view: Callable[[Saved], Sequence[Block]]
    overview: Callable[[Sequence[Item[Saved]], bool], Sequence[Block]]
    published: str
    """Its folder below docs/results/; "" for that folder itself."""
    subfolder: str = ""
    """Where its runs lie below the model's folder of runs; "" for that folder itself."""
    fields: frozenset[str] = frozenset()
    """Top-level fields that identify a file of this kind which has no `kind` of its own."""
    headline: Callable[[Saved], str] = lambda _saved: ""
    """Its cell in the list of saved runs."""
    page_headlines: Callable[[Sequence[Item[Saved]]], Sequence[Headline]] = lambda _items: ()
    """What the page says first: which configuration is the fastest, and by how much."""
    warnings: Callable[[Saved], Sequence[str]] = lambda _saved: ()
    """Codes of its warnings."""
    refusal: Callable[[Saved], str | None] = status_refusal
    """Why it must not be published; None when it may be."""
    published_elsewhere: Callable[[str], Sequence[Block]] = lambda _model: ()
    """What others published of a model: the documents show it while nothing of this kind is published here."""
    samples: Callable[[Saved], Sequence[Mapping[str, object]]] | None = None
    """Every raw sample, in the order they happened."""
    results: Callable[[Saved], Sequence[Result]] = lambda _saved: ()
    """What it holds that the plausibility gate can check."""
    recomputed: Callable[[Saved], Mapping[Place, object]] = lambda _saved: {}
    """Derived values that its file holds, computed from the raw samples again: place in the JSON → value."""
    counted: Callable[[Saved], int] | None = None
    """How many raw samples it holds, where it has no `samples`."""
    row_name: Callable[[Row], str] | None = None
    """What a row measures, the same for every measurement of it: model, engine, machine, settings. None: rows are not
    followed over time."""
    priced: Callable[[Saved, float], Saved] | None = None
    """With the price of an hour of a GPU, where a cost follows from it."""
    vllm_records: Callable[[Saved], Sequence[Mapping[str, object]]] | None = None
    """Its rows as vLLM's serving benchmark writes them, where it is one of serving."""
    llama_bench_records: Callable[[Saved], Sequence[Mapping[str, object]]] | None = None
    """Its rows as llama.cpp's benchmark writes them, where it is one of generations."""
    possible: Callable[[Saved], None] = lambda _saved: None
    """Raises ImpossibleError for other impossible values."""

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        titles = [metric.title for metric in self.metrics if metric.title and metric.place != "data"]
        for labels, where in ((names, "in flat files"), (titles, "in tables")):
            if twice := sorted({label for label in labels if labels.count(label) > 1}):
                raise ValueError(f"two metrics of {self.name} have one name {where}: {', '.join(twice)}")

    def count_samples(self, content: Saved) -> int:
        """How many raw samples it holds."""
        if self.counted is not None:
            return self.counted(content)
        return len(self.samples(content)) if self.samples else 0

    def require_possible(self, content: Saved) -> None:
        """Raises ImpossibleError for a result that the plausibility gate refuses: its speed is never shown."""
        self.possible(content)
        for result in self.results(content):
            plausibility.check(result, catalog.load(result.scenario.model))


@dataclass(frozen=True)
class Item(Generic[Saved]):
    """One file: its kind, its path, the SHA-256 of its bytes, and what was read from it."""

    kind: Kind[Saved, object]
    path: Path
    sha256: str
    content: Saved

    @property
    def name(self) -> str:
        """Its path from here or in the checkout; of one elsewhere not the folders, which may hold a user's name."""
        path = self.path.resolve()
        for folder in (Path.cwd(), ROOT):
            if path.is_relative_to(folder):
                return path.relative_to(folder).as_posix()
        return "/".join(path.parts[-2:]) if path.name == self.kind.file else path.name

    @property
    def subject(self) -> Subject:
        return self.kind.subject(self.content)

    @property
    def machine(self) -> str:
        """The GPU's name on CUDA, the processor's on the CPU."""
        return machine_of(self.content.environment, self.subject.device)


def machine_of(environment: Environment, device: str) -> str:
    """The GPU's name on CUDA, the processor's on the CPU; the device where that is not recorded or not known."""
    if device == REMOTE:
        return "remote server"
    if device != "cuda":
        return environment.cpu or device
    names = {gpu.name for gpu in environment.gpus or []}
    return environment.gpu_used or (names.pop() if len(names) == 1 else device)


def warnings_metric(codes: Callable[[Row], Sequence[str]]) -> Metric[Row]:
    """The column of the warnings' codes."""
    return Metric(
        "warnings",
        "warnings",
        "",
        "codes of the warnings, separated by spaces",
        lambda row: " ".join(codes(row)),
        place="summary",
        shown=lambda row: ", ".join(codes(row)) or "none",
    )


def peak_metric(peak_bytes: Callable[[Row], int | None]) -> Metric[Row]:
    """The peak of the memory; see `records.Memory.peak_bytes`."""
    meaning = "peak of the device's memory; on a CPU, of the host's process"
    return Metric("peak_bytes", "peak memory", "bytes", meaning, peak_bytes, "lower", place="data")


def unfinished(content: Content) -> list[str]:
    """The remark on a measurement that is not complete."""
    if content.status == "complete":
        return []
    return [
        f"{content.status}{f' ({content.error})' if content.error else ''}: not everything that was requested is here"
    ]


def facets(model: str, engine: str, machine: str, precision: str) -> frozenset[Facets]:
    """The facets of what belongs to one model, engine, machine and precision."""
    return frozenset({Facets(model, engine, machine, precision)})
