"""A quality check as blocks: the numbers, and the answers side by side."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item, machine_of, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.benchmarks.common.questions import QuestionSet
from bench_deepspeed.measure import metric
from bench_deepspeed.report.blocks import Block, Cell, Facets, Facts, Link, Quoted, Section, Table, Text

from .baseline import TRANSFORMERS
from .metrics import METRICS, PLACE_MEANINGS, CandidateRow, rows
from .records import Quality
from .verdict import TITLES, Distance

GROUND_TRUTH = "Transformers float32 (ground truth)"


def view(quality: Quality) -> list[Block]:
    """The whole check."""
    return [*verdicts(quality), _answers(quality)]


def verdicts(quality: Quality) -> list[Block]:
    """The verdict of each precision, and the numbers that it follows from."""
    return [Text(intro(quality)), *(block for row in rows(quality) for block in _verdict(quality, row))]


def _verdict(quality: Quality, row: CandidateRow) -> list[Block]:
    """One sentence, then a line a measure of the answers and a row a distance of the logits."""
    own = metric.cells(METRICS, row, "summary")
    precision, words = own.pop("precision"), own.pop("verdict")
    places = {place: _forced(row, place) for place in PLACE_MEANINGS}
    table = [
        {"distance": title, **{place: cells[title] for place, cells in places.items()}} for title in places["early"]
    ]
    sentence = f"{quality.model['title']}, {quality.title}, {precision}: {words}"
    return [Text(sentence, strong=True), Facts(own), Table(table, f"Distances of {precision}")]


def document(quality: Quality) -> list[Block]:
    """The whole check, with where it comes from: what quality.md holds."""
    title = f"Quality of {quality.model['title']}: {quality.title} on {quality.device}"
    measured = origin(quality.environment, quality.device, quality.started_at)
    notes = [*unfinished(quality), f"{measured} Weights {quality.model['digest'][:12]}."]
    blocks = [Text(intro(quality)), distances(quality), _answers(quality)]
    return [Section(title, [*map(Text, notes), *blocks])]


def overview(items: Sequence[Item[Quality]], compact: bool) -> list[Block]:
    """Each check: its numbers, and the answers side by side."""
    return [_section(item, compact) for item in items]


def _section(item: Item[Quality], compact: bool) -> Section:
    quality = item.content
    blocks: list[Block] = [
        Text(origin(quality.environment, quality.device, quality.started_at), link=Link("JSON", item.path)),
        *map(Text, unfinished(quality)),
        Text(intro(quality)),
        distances(quality),
        *([] if compact else [Section("Answers side by side", [_answers(quality)], folded=True, documented=True)]),
        Section("Environment", [Facts(environment_facts(quality.environment.facts))], folded=True),
    ]
    title = f"{quality.model['title']}: {quality.title}"
    return Section(title, blocks, facets=frozenset(facets_of(quality, row) for row in rows(quality)))


def facets_of(quality: Quality, row: CandidateRow) -> Facets:
    """What the page's filter knows a precision of a check by."""
    machine = machine_of(quality.environment, quality.device)
    return Facets(quality.model["title"], quality.engine, machine, row.precision)


def intro(quality: Quality) -> str:
    """What the numbers are, in one line."""
    return (
        f"Distance from Transformers in float32, computed on {quality.reference_device} (in brackets: "
        f"{_baselines(quality)} in the same precision, the noise floor), {quality.max_tokens} new tokens, greedy"
        + (f"; late: after {quality.late_tokens} tokens" if quality.late_tokens else "")
    )


def _baselines(quality: Quality) -> str:
    """The engines whose distances are noise floors."""
    names = dict.fromkeys(candidate.get("baseline", TRANSFORMERS) for candidate in quality.candidates)
    return " or ".join("Transformers" if name == TRANSFORMERS else name for name in names if name) or "Transformers"


def distances(quality: Quality) -> Table:
    """Two rows a precision, "engine (floor)" for each measure, early and late."""
    table: list[dict[str, str]] = []
    facets = []
    for row in rows(quality):
        cells = metric.cells(METRICS, row, "summary")
        verdict = cells.pop("verdict")
        for place in PLACE_MEANINGS:
            forced = _forced(row, place)
            first = place == "early"
            own = cells if first else dict.fromkeys(cells, "")
            table.append({**own, "place": place, **forced, "verdict": verdict if first else ""})
            facets.append(frozenset({facets_of(quality, row)}))
    return Table(table, f"Quality of {quality.model['title']}", facets)


def _forced(row: CandidateRow, place: str) -> dict[str, str]:
    """The distances at one place, the noise floor's in brackets."""
    engine: Distance = getattr(row.engine, place)
    floor: Distance | None = row.floor and getattr(row.floor, place)

    def pair(name: str) -> str:
        return f"{getattr(engine, name):.2g} ({getattr(floor, name):.2g})" if floor else f"{getattr(engine, name):.2g}"

    agreement = f"{1.0 - engine.top1_disagreement:.4f}"
    return {
        "top-1 agreement": agreement + (f" ({1.0 - floor.top1_disagreement:.4f})" if floor else ""),
        **{TITLES[name]: pair(name) for name in ("nll_difference", "mean_kl", "max_kl")},
        TITLES["on_top_kl"]: f"{engine.on_top_kl:.2g}" if floor else "no floor",
    }


def _answers(quality: Quality) -> Table:
    """One row a question: each precision's answer, the published ones, and the ground truth last."""
    titles = _published_titles([question["published"] for question in quality.questions])
    table = []
    for number, question in enumerate(quality.questions):
        row: dict[str, Cell] = {"question": Quoted(question["prompt"])}
        for candidate in quality.candidates:
            title = f"{quality.engine} {candidate['precision']}"
            row[title] = Quoted(candidate["engine"][number]["text"])
        row |= _published(question["published"], titles)
        row[GROUND_TRUTH] = Quoted(question["reference"])
        table.append(row)
    column_facets = {f"{quality.engine} {row.precision}": frozenset({facets_of(quality, row)}) for row in rows(quality)}
    return Table(table, "Answers side by side", column_facets=column_facets)


def published_answers(questions: QuestionSet, model: str) -> Table | None:
    """The answers once published for a model, side by side; None where there are none."""
    published = [answers.get(model, {}) for answers in questions.published]
    titles = _published_titles(published)
    pairs = zip(questions.prompts, published, strict=True)
    table = [{"question": Quoted(prompt)} | _published(answers, titles) for prompt, answers in pairs]
    return Table(table, f"Answers published for {model}") if titles else None


def _published_titles(published: list[dict[str, str]]) -> list[str]:
    """The precisions of all questions: every row has the same columns, in the same order."""
    return list(dict.fromkeys(precision for answers in published for precision in answers))


def _published(answers: dict[str, str], titles: list[str]) -> dict[str, Cell]:
    return {f"published {precision}": Quoted(answers.get(precision, "")) for precision in titles}
