"""Sweeps, load tests and checks of answers on the HTML page."""

from __future__ import annotations

from bench_deepspeed.benchmarks.registry import unfinished
from bench_deepspeed.report.html_page import Page, environment, table
from bench_deepspeed.results.files import Item

from . import charts_page
from . import view as sweep_report


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
        page.plot("throughput", charts_page.throughput(sweep, keys), f"Decode throughput over the batch size {says}"),
        page.plot("prefill", charts_page.prefill(sweep, keys), f"Prefill time over the prompt's length {says}"),
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
