"""A load test as a table and as curves of latency over throughput."""

from __future__ import annotations

from tabulate import tabulate

from bench_deepspeed.core.text import NOT_MEASURED

from . import metrics
from .metrics import GENERATION_TOKENS_PER_S
from .records import Level, LoadResult
from .saturation import highest_sustained, judge

LEGEND = (
    "E2E, TTFT, TPOT, ITL: p50, p90, p95, p99 in seconds, of requests due in the steady window; requests/s and "
    "tokens/s: what ended and what came in it; failed requests are in none of them; effective: requests/s within "
    f"FastGen's service level at {', '.join(map(str, GENERATION_TOKENS_PER_S))} tokens/s"
)


def rows(result: LoadResult) -> list[dict[str, str]]:
    """Column title → cell of each level."""
    return [_row(level, result.sla) for level in result.levels]


def _row(level: Level, sla: dict[str, float | None]) -> dict[str, str]:
    found = metrics.figures(level, sla)
    measured = found.requests_per_s is not None
    return {
        "load": level.name,
        "requests/s": f"{found.requests_per_s:.2f} of {found.offered_per_s:.2f}" if measured else NOT_MEASURED,
        "tokens/s": f"{found.tokens_per_s:.1f}" if measured else NOT_MEASURED,
        "E2E": _cells(found.e2e_s),
        "TTFT": _cells(found.ttft_s),
        "TPOT": _cells(found.tpot_s),
        "ITL": _cells(found.itl_s),
        "goodput": NOT_MEASURED if found.good_per_s is None else f"{found.good_per_s:.2f}",
        "effective": _cells(found.effective_per_s, ".2f"),
        "failed": f"{found.failed} of {found.due}",
        "lag p99": NOT_MEASURED if found.lag_p99_s is None else f"{1e3 * found.lag_p99_s:.2f} ms",
        "generator": f"{level.generator_cpu_share:.0%} CPU",
        "server's CPU": ", ".join(f"{name} {share:.0%}" for name, share in level.server_cpu_share.items()),
        "verdict": "" if level.rate is None else judge(level).words if measured else NOT_MEASURED,
        "remarks": "; ".join(found.remarks),
    }


def _cells(values: dict[str | int, float] | None, form: str = ".3g") -> str:
    return NOT_MEASURED if values is None else ", ".join(f"{value:{form}}" for value in values.values())


def line(level: Level, sla: dict[str, float | None]) -> str:
    """One level in a line, as soon as it is over."""
    row = _row(level, sla)
    if row["requests/s"] == NOT_MEASURED:
        return f"{level.name}: {row['remarks']}"
    shown = [f"{title} {row[title]}" for title in ("requests/s", "tokens/s", "E2E")]
    return "; ".join([f"{level.name}: {', '.join(shown)}", *filter(None, [row["verdict"], row["remarks"]])])


def table(result: LoadResult) -> str:
    """All levels, and what must be known beside them."""
    shown = tabulate(told_rows(result), headers="keys", tablefmt="github", disable_numparse=True)
    return "\n\n".join([shown, *notes(result)])


def notes(result: LoadResult) -> list[str]:
    """What was asked, and what the levels say together."""
    found = [_service(result), LEGEND]
    rates = [level.rate for level in result.levels if level.rate is not None]
    if rates:
        found.insert(1, "highest sustained rate: " + _sustained(result, min(rates)))
    if result.stopped:
        found.insert(1, f"stopped at {result.stopped}")
    return found


def _sustained(result: LoadResult, lowest: float) -> str:
    sustained = highest_sustained(result.levels)
    if sustained is not None:
        return f"{sustained:g} requests/s"
    if any(level.rate == lowest and judge(level).saturated for level in result.levels):
        return f"below {lowest:g} requests/s, the lowest that was tried"
    return NOT_MEASURED


def told_rows(result: LoadResult) -> list[dict[str, str]]:
    """The rows without the columns that say nothing at any level."""
    cells = rows(result)
    empty = {title for title in (cells[0] if cells else {}) if {row[title] for row in cells} <= {"", NOT_MEASURED}}
    return [{title: value for title, value in row.items() if title not in empty} for row in cells]


def _service(result: LoadResult) -> str:
    return f"{title(result)}. {result.target['service']}"


def title(result: LoadResult) -> str:
    """What was loaded with what, in one line."""
    scenario, workload = result.scenario, result.workload
    random = " (random weights)" if scenario["weights"] == "random" else ""
    spread = f" ± {workload['spread']:.0%}" if workload["spread"] else ""
    lengths = f"{workload['prompt_tokens'] or 'given'} + {workload['max_tokens'] or 'given'} tokens{spread}"
    name = f"{result.target['name']} ({scenario['engine']})"
    return f"{result.model.get('title', scenario['model'])}{random}, {name}, {scenario['precision']}, {lengths}"


def refusal(result: LoadResult) -> str | None:
    """Why a load test must not be published; None when it may."""
    if "digest" not in result.model:
        return "no model was loaded: it measures the load generator"
    if result.status != "complete":
        return f"its status is {result.status!r}"
    if all(map(metrics.unmeasured, result.levels)):
        return "no level was measured"
    return None
