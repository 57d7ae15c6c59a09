"""Sweeps, load tests and checks of answers on the HTML page."""

from __future__ import annotations

from ..load.metrics import figures as load_figures
from ..quality.schema import Quality
from . import load as load_report
from . import plots
from . import quality as quality_report
from . import sweep as sweep_report
from .evidence import Item, unfinished
from .page import Page, environment, table


def sweeps(items: list[Item], page: Page) -> dict:
    """Throughput over the batch size under its roofline, prefill over the prompt's length, and the table."""
    return {"parts": [_sweep(item, page) for item in items]}


def _sweep(item: Item, page: Page) -> dict:
    sweep = item.content
    model = sweep_report.model_title(sweep)
    keys = {(s.engine, s.precision): page.key(model, s.engine, item.machine, s.precision) for s in sweep.scenarios}
    cells = [([keys[s.engine, s.precision]], sweep_report.row(sweep, s)) for s in sweep.scenarios]
    says = f"of {sweep_report.constants(sweep)}; the table below has its figures"
    drawn = [
        page.plot("throughput", plots.throughput(sweep, keys), f"Decode throughput over the batch size {says}"),
        page.plot("prefill", plots.prefill(sweep, keys), f"Prefill time over the prompt's length {says}"),
    ]
    return {
        "title": model,
        "keys": sorted(keys.values()),
        "constants": sweep_report.constants(sweep),
        "plots": [plot for plot in drawn if plot],
        "table": table(cells),
        "notes": [*unfinished(sweep), sweep_report.LEGEND, *sweep_report.reasons(sweep)],
        "environment": environment(sweep.environment),
        "evidence": item,
    }


def loads(items: list[Item], page: Page) -> dict:
    """Latency over throughput of all load tests in one figure, and the table of each."""
    parts, curves = [], []
    for item in items:
        result = item.content
        asked = result.scenario
        title = load_report.title(result)
        random = " (random weights)" if asked["weights"] == "random" else ""
        model = result.model.get("title", asked["model"]) + random
        key = page.key(model, asked["engine"], item.machine, asked["precision"])
        found = [(level, load_figures(level, result.sla)) for level in result.levels]
        for kind in ("clients", "rate"):
            curves.append((key, f"{title}, by {kind}", [one for one in found if getattr(one[0], kind) is not None]))
        parts.append(
            {
                "title": title,
                "keys": [key],
                "table": table([([key], cells) for cells in load_report.told_rows(result)]),
                "notes": [*unfinished(result), *load_report.notes(result)],
                "environment": environment(result.environment),
                "evidence": item,
            }
        )
    says = "Median latency over throughput; the tables below have its figures"
    return {"plot": page.plot("load", plots.latency(curves), says), "parts": parts}


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
