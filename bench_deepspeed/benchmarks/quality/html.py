from __future__ import annotations

from bench_deepspeed.benchmarks.registry import unfinished
from bench_deepspeed.report.html_page import Page, environment, table
from bench_deepspeed.results.files import Item

from . import view as quality_report
from .records import Quality


def qualities(items: list[Item], page: Page) -> dict:
    """The verdict of each precision with its figures, and the answers side by side."""
    return {"parts": [_quality(item, page) for item in items]}


def _quality(item: Item, page: Page) -> dict:
    quality: Quality = item.content
    model, machine = quality.model["title"], item.machine
    keys = {c["precision"]: page.key(model, quality.engine, machine, c["precision"]) for c in quality.candidates}
    precisions = [precision for precision in keys for _ in ("early", "late")]
    rows = quality_report.quality_rows(vars(quality))
    return {
        "title": f"{model}: {quality.engine}",
        "keys": sorted(keys.values()),
        "intro": quality_report.intro(vars(quality)),
        "table": table([([keys[precision]], row) for precision, row in zip(precisions, rows, strict=True)]),
        "answers": [_answers(number, quality, keys) for number in range(len(quality.questions))],
        "notes": unfinished(quality),
        "environment": environment(quality.environment),
        "evidence": item,
    }


def _answers(number: int, quality: Quality, keys: dict[str, int]) -> dict:
    question = quality.questions[number]
    given = [
        (keys[c["precision"]], f"{quality.engine} {c['precision']}", c["engine"][number]["text"])
        for c in quality.candidates
    ]
    return {"prompt": question["prompt"], "given": given, "reference": question["reference"]}
