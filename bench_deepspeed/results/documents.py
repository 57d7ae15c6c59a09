"""`bench.sh report`: the published tables, rendered from the published evidence.

A page holds blocks between markers, such as `<!-- results: llama -->` and `<!-- /results -->`, each on a
line of its own. What stands between them is rewritten here, or with --check compared: no figure in a
page is typed by hand.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.ab import view as ab_report
from bench_deepspeed.benchmarks.ab.records import AbResult
from bench_deepspeed.benchmarks.load import view as load_report
from bench_deepspeed.benchmarks.load.records import LoadResult
from bench_deepspeed.benchmarks.quality import questions
from bench_deepspeed.benchmarks.quality.records import Quality
from bench_deepspeed.benchmarks.quality.view import published_answers
from bench_deepspeed.benchmarks.quality.view import tables as quality_report
from bench_deepspeed.benchmarks.registry import unfinished
from bench_deepspeed.benchmarks.run import rows as result_rows
from bench_deepspeed.benchmarks.run.rows import LEGEND, details
from bench_deepspeed.benchmarks.run.view import remarks, warnings
from bench_deepspeed.benchmarks.selftest.command import comparison_table
from bench_deepspeed.benchmarks.selftest.records import SelfTest
from bench_deepspeed.benchmarks.sweep import view as sweep_report
from bench_deepspeed.benchmarks.sweep.records import SweepResult
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.core.paths import DOCS, QUESTIONS, RESULTS, ROOT
from bench_deepspeed.engines import ENGINES
from bench_deepspeed.measure.records import Result
from bench_deepspeed.model import catalog
from bench_deepspeed.report import svg
from bench_deepspeed.report.tables import table as as_table
from bench_deepspeed.simulations import view

from . import flat, published_loads, published_sweeps

BLOCK = re.compile(r"^<!-- (?P<kind>[a-z]+): (?P<subject>\S+) -->\n(?P<body>.*?)^<!-- /(?P=kind) -->$", re.M | re.S)
MARKER = re.compile(r"^<!-- (/[a-z]+|[a-z]+: \S+) -->$", re.M)
EVERYTHING = "all"
NOTHING = "Not measured yet."
ONCE = "Once published by [premAI-io/benchmarks](https://github.com/premAI-io/benchmarks), not measured by this suite:"
SETTINGS = ("device", "precision", "prompt + new tokens", "n")  # said once, above, where all rows have the same
COMPACT = (
    "model",
    "engine",
    "device",
    "precision",
    "prompt + new tokens",
    "tokens/s",
    "std",
    "n",
    "peak memory",
    "warnings",
)
PRECISIONS = ("float16", "bfloat16", "float32")
UNHELD = "no limits were measured with it, so no gate has held its speed against them"
PACKAGES = ("torch", "deepspeed", "deepspeed-mii", "transformers")  # those that the figures depend on most


@dataclass(frozen=True)
class Evidence:
    """One published result and the file that it was read from."""

    path: Path
    result: Result

    @property
    def name(self) -> str:
        """What tells it from others: the file's name, with its folder's where a run named it."""
        return self.path.stem if self.path.stem != "result" else f"{self.path.parent.name}/result"

    def order(self) -> tuple:
        """Where its row stands: by model, then in the order of ENGINES and PRECISIONS, others last."""
        s = self.result.scenario
        engine, precision = [*ENGINES, s.engine].index(s.engine), [*PRECISIONS, s.precision].index(s.precision)
        return s.model, engine, s.device, precision, s.weights, self.path


def run(options, pages: list[Path] | None = None, results: Path = RESULTS) -> int:
    """Rewrite the blocks of the pages, or with --check only compare them. Returns the exit code.

    Raises BenchError for evidence that must not be published, for a marker that is none, and, with
    --check, for a page that differs from its evidence.
    """
    pages = pages or [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    rendered = {page: render(text, page, results) for page, text in texts.items()}
    stale = [page for page in pages if rendered[page] != texts[page]]
    drawings = published_sweeps.drawings(results) + published_loads.drawings(results)
    stale += svg.stale(drawings)
    if not options.check:
        svg.draw(drawings)
        for page in set(stale) & set(pages):
            _rewrite(page, rendered[page])
    elif stale:
        raise BenchError(
            f"{', '.join(map(_shown, stale))}: a table or figure differs from {_shown(results)}; run `bench.sh report`"
        )
    print(f"{', '.join(map(_shown, pages))} agree with {_shown(results)}")
    return 0


def _rewrite(page: Path, text: str) -> None:
    try:
        write_atomically(page, text)
    except OSError as error:
        raise MachineError(f"cannot write {_shown(page)}: {error.strerror}") from error
    print(f"rewrote {_shown(page)}")


def render(text: str, page: Path, results: Path) -> str:
    """The page with every block as the evidence has it. Raises BenchError."""
    if len(MARKER.findall(text)) != 2 * len(BLOCK.findall(text)):
        raise BenchError(f"{_shown(page)}: a marker lacks its other end, or is not closed by its own kind")
    return BLOCK.sub(partial(_block, page=page, results=results), text)


def _block(found: re.Match, page: Path, results: Path) -> str:
    kind, subject = found["kind"], found["subject"]
    if kind not in RENDERERS or subject not in SUBJECTS.get(kind, {EVERYTHING, *catalog.names()}):
        raise BenchError(f"{_shown(page)}: nothing is known of a block '{kind}: {subject}'")
    return f"<!-- {kind}: {subject} -->\n{RENDERERS[kind](subject, page, results)}\n<!-- /{kind} -->"


def published(results: Path) -> list[Evidence]:
    """The evidence, in the order of the rows. Raises BenchError when one of it must not be published."""
    found = [Evidence(path, Result.load(path)) for path in sorted(results.glob("*.json"))]
    for evidence in found:
        reason = _refusal(evidence.result)
        if reason:
            raise BenchError(f"{_shown(evidence.path)} cannot be published: {reason}")
    return sorted(found, key=Evidence.order)


def _refusal(result: Result) -> str | None:
    valid, wanted = len(result.valid_samples), len(result.runs) * result.scenario.repetitions
    if result.scenario.engine == "fake":
        return "the fake engine measures nothing"
    if result.status != "complete":
        return f"its status is {result.status!r}"
    if result.void_count or valid != wanted or not valid:
        return f"{valid} of {wanted} repetitions are valid, {result.void_count} void"
    try:
        _measured(result.environment, result.scenario.device, result.started_at)
    except KeyError as error:
        return f"its environment lacks {error}"
    return None


def speed_table(subject: str, page: Path, results: Path) -> str:
    """Tokens per second of one model, or in fewer columns of all."""
    chosen = [e for e in published(results) if subject in {EVERYTHING, e.result.scenario.model}]
    return speed_tables(chosen, page, compact=subject == EVERYTHING) if chosen else NOTHING


def speed_tables(chosen: list[Evidence], page: Path, compact: bool) -> str:
    """Tokens per second of these, one row each, then, unless compact, what each is made of; and what they need known.

    Links lead from the page.
    """
    rows = [result_rows.figures(evidence.result) for evidence in chosen]
    if compact:
        rows = [{title: row[title] for title in COMPACT} for row in rows]
    shared = {t: rows[0][t] for t in SETTINGS if t in rows[0] and len({row[t] for row in rows}) == 1}
    origins = _unique(origin(evidence.result) for evidence in chosen)
    for row, evidence in zip(rows, chosen, strict=True):
        for title in shared:
            del row[title]
        link = f"[JSON]({_link(evidence.path, page)})"
        row["evidence"] = link + (f" ({origins.index(origin(evidence.result)) + 1})" if len(origins) > 1 else "")
    made_of = "" if compact else _details_table(chosen, page)
    above = "; ".join(f"{title}: {value}" for title, value in shared.items())
    texts = _unique(text for evidence in chosen for text in notes(evidence.result))
    below_it = [sentence(text) for text in [*texts, *([] if compact else _doubts(chosen))]]
    below_it.append(sentence(LEGEND))
    below_it += [f"({n}) {text}" if len(origins) > 1 else text for n, text in enumerate(origins, start=1)]
    return "\n\n".join(filter(None, [above and sentence(above), _table(rows), made_of, *below_it]))


def _details_table(chosen: list[Evidence], page: Path) -> str:
    """What each speed is made of: one row a figure, one column a result, headed by its evidence."""
    columns = {f"[{e.name}]({_link(e.path, page)})": details(e.result) for e in chosen}
    titles = next(iter(columns.values()))
    return _table([{"": title, **{head: found[title] for head, found in columns.items()}} for title in titles])


def _link(path: Path, page: Path) -> str:
    return Path(os.path.relpath(path, page.parent)).as_posix()


def _table(rows: list[dict[str, str]]) -> str:
    cells = [{title: value.replace("|", "\\|") for title, value in row.items()} for row in rows]
    return as_table(cells)


def notes(result: Result) -> list[str]:
    """What must stand beside the figures of a result."""
    note = result.model.get("note")
    return [*unfinished(result), *remarks(result), *([f"{result.model['title']}: {note}"] if note else [])]


def _doubts(chosen: list[Evidence]) -> list[str]:
    """The warnings, each with the evidence that it is of."""
    names: dict[str, list[str]] = {}
    for evidence in chosen:
        unheld = [UNHELD] if evidence.result.limits is None else []
        for text in [*warnings(evidence.result), *unheld]:
            names.setdefault(text, []).append(f"`{evidence.name}`")
    return [f"{', '.join(of)}: {text}" for text, of in names.items()]


def quality_tables(subject: str, page: Path, results: Path) -> str:
    """Every published check of one model's answers; without one, the answers that were once published."""
    found = [(path, Quality.load(path)) for path in sorted(results.glob("quality/*.json"))]
    parts = []
    for path, quality in found:
        if quality.model["name"] != subject:
            continue
        if quality.status != "complete":
            raise BenchError(f"{_shown(path)} cannot be published: its status is {quality.status!r}")
        parts.append(quality_part(path, quality, page))
    if not parts:
        published = published_answers(questions.load(QUESTIONS), subject)
        return f"{NOTHING}\n\n{ONCE}\n\n{published}" if published else NOTHING
    return "\n\n".join(parts)


def quality_part(path: Path, quality: Quality, page: Path) -> str:
    """One check of the answers."""
    measured = _origin(quality.environment, quality.device, quality.started_at)
    tables = quality_report(dataclasses.asdict(quality))
    return f"**{quality.engine}** ([JSON]({_link(path, page)})). {measured}\n\n{tables}"


def origin(result: Result) -> str:
    """On what, with what and when a result was measured, as one sentence."""
    return _origin(result.environment, result.scenario.device, result.started_at)


def _origin(facts: dict, device: str, started_at: str) -> str:
    try:
        return _measured(facts, device, started_at)
    except KeyError as error:  # it ended before that was known
        return f"Measured on {started_at[:10]}; on what is not recorded in full: {error.args[0]} is missing."


def _measured(facts: dict, device: str, started_at: str) -> str:
    gpu = f"{_gpu(facts)}; " if device == "cuda" else ""
    packages = ", ".join(f"{name} {facts['packages'].get(name) or 'not installed'}" for name in PACKAGES)
    return (
        f"Measured on {started_at[:10]}: {gpu}{facts['cpu']}, {facts['cpu_count']} CPUs, {facts['system']}; "
        f"Python {facts['python']}, {packages}; suite {facts['suite']}, commit {facts['commit'] or 'not recorded'}."
    )


def _gpu(facts: dict) -> str:
    """The GPU, its driver and the CUDA versions: the driver's, torch's and nvcc's, which may differ."""
    driver = {gpu["name"]: gpu["driver"] for gpu in facts["gpus"]}[facts["gpu_used"]]
    cuda = f"CUDA {facts['driver_cuda']}, torch built with CUDA {facts['torch_cuda']}, nvcc {facts['nvcc'] or 'none'}"
    return f"{facts['gpu_used']}, driver {driver} for {cuda}"


def sentence(text: str) -> str:
    """Text with a capital and one full stop."""
    return text[0].upper() + text[1:].rstrip(".") + "."


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def simulation_table(subject: str, page: Path, results: Path) -> str:
    """What a simulation of the suite itself found."""
    try:
        found = json.loads((results / "simulations" / f"{subject}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return NOTHING
    return view.simulation_table(found, subject)


def selftest_tables(subject: str, page: Path, results: Path) -> str:
    """Every published self-test with one model."""
    found = [(path, SelfTest.load(path)) for path in sorted(results.glob("selftests/*.json"))]
    parts = [
        f"{comparison_table(test.comparisons)}\n\n[JSON]({_link(path, page)}). "
        + _origin(test.environment, test.scenario["device"], test.started_at)
        for path, test in found
        if test.scenario["model"] == subject
    ]
    return "\n\n".join(parts) or NOTHING


def load_tables(subject: str, page: Path, results: Path) -> str:
    """Every published load test of one model: all their curves in one figure, and the levels of each."""
    found = published_loads.of_model(subject, results)
    if not found:
        return NOTHING
    curves = f"![Latency over throughput]({_link(published_loads.figure(subject, results), page)})"
    return "\n\n".join([curves, *(load_part(path, result, page) for path, result in found)])


def load_part(path: Path, result: LoadResult, page: Path) -> str:
    """One load test."""
    measured = _origin(result.environment, result.scenario["device"], result.started_at)
    return "\n\n".join([load_report.table(result), f"[JSON]({_link(path, page)}). {measured}"])


def sweep_tables(subject: str, page: Path, results: Path) -> str:
    """Every published sweep of one model: its table, its figures, and what it was measured on."""
    parts = [
        sweep_part(path, sweep, page, published_sweeps.figures(path, sweep))
        for path, sweep in published_sweeps.of_model(subject, results)
    ]
    return "\n\n".join(parts) or NOTHING


def ab_tables(subject: str, page: Path, results: Path) -> str:
    """Every published comparison of which one side is this model."""
    found = [(path, AbResult.load(path)) for path in sorted(results.glob("ab/*.json"))]
    parts = []
    for path, result in found:
        if reason := ab_report.refusal(result):
            raise BenchError(f"{_shown(path)} cannot be published: {reason}")
        if subject in {of.scenario.model for of in result.sides.values()}:
            parts.append(ab_part(path, result, page))
    return "\n\n".join(parts) or NOTHING


def ab_part(path: Path, result: AbResult, page: Path) -> str:
    """One comparison; what differs between the two machines' facts stands with the sides."""
    measured = _origin(result.a.environment, result.a.scenario.device, result.started_at)
    return f"{ab_report.text(result)}\n\n[JSON]({_link(path, page)}). {measured}"


def sweep_part(path: Path, sweep: SweepResult, page: Path, drawn: dict[str, Path]) -> str:
    """One sweep; `drawn`: title → file of each figure."""
    pictures = [f"![{name}]({_link(figure, page)})" for name, figure in drawn.items()]
    measured = _origin(sweep.environment, sweep.settings.device, sweep.started_at[0])
    notes = [sentence(text) for text in (sweep_report.LEGEND, *sweep_report.reasons(sweep))]
    above = f"{sentence(sweep_report.constants(sweep))} [JSON]({_link(path, page)})"
    return "\n\n".join([above, sweep_report.table(sweep), *pictures, *notes, measured])


def columns_table(subject: str, page: Path, results: Path) -> str:
    """What the columns of CSV and JSON lines mean, for one kind of file."""
    meanings = flat.KINDS[subject]
    return _table([{"column": f"`{name}`", "meaning": meaning} for name, meaning in meanings.items()])


RENDERERS = {
    "results": speed_table,
    "quality": quality_tables,
    "simulation": simulation_table,
    "sweep": sweep_tables,
    "load": load_tables,
    "selftest": selftest_tables,
    "ab": ab_tables,
    "columns": columns_table,
}
"""What a block of each kind shows: (subject, page, folder of the evidence) → its text."""
SUBJECTS = {
    "simulation": set(view.SIMULATIONS),
    "columns": set(flat.KINDS),
    **dict.fromkeys(("quality", "sweep", "load", "ab", "selftest"), set(catalog.names())),
}
"""What a block may be of, where that is not a model."""
