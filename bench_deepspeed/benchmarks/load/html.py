from __future__ import annotations

from bench_deepspeed.benchmarks.registry import unfinished
from bench_deepspeed.report.html_page import Page, environment, table
from bench_deepspeed.results.files import Item

from . import charts_page
from . import view as load_report
from .metrics import figures as load_figures


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
    return {"plot": page.plot("load", charts_page.latency(curves), says), "parts": parts}
