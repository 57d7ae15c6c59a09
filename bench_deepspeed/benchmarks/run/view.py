"""A result as blocks: alone, and several next to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby, starmap
from pathlib import Path

from bench_deepspeed.benchmarks.common.kind import unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.core import units
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.core.text import FAKE, NOT_MEASURED, SHAPE_ONLY, figure_name
from bench_deepspeed.engines import ENGINES
from bench_deepspeed.measure import metric, warnings
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.records import Result, Scenario
from bench_deepspeed.measure.speed import SPEED_LEGEND, speed_interval
from bench_deepspeed.report.blocks import Block, Cell, Facts, Figure, Link, Section, Table, Text, Warnings
from bench_deepspeed.report.chart import Chart

from . import charts, metrics, step
from .charts import RunItem

LEGEND = f"{SPEED_LEGEND}; std: sample standard deviation of all repetitions; n: processes × repetitions"
CONDITIONS = ("device", "prompt + new tokens", "n")
"""Columns other than engine and precision that must be equal in rows to be compared."""
SHARED = ("device", "precision", "prompt + new tokens", "n")  # shown once above the table, where all rows have the same

GROUPS = ("Speed", "Latency", "Memory", "Energy", "Bottleneck")
IN_ANSWER = frozenset({"model_title", "engine", "device_title", "precision", "tokens_per_s_mean", "counts", "warnings"})
"""Metrics that the sentence shows, or, of the warnings, the lines at the end."""
ON_GPU = frozenset({"kv_pool_bytes", "workspace_bytes", "driver_bytes"})
"""Metrics of what a CPU does not have."""
HOST_BOUND = "host-bound"
HOST_BOUND_MEANS = {
    "cuda": f"the GPU waits for the host during more than {units.percent(step.HOST_BOUND_IDLE)} of each step: a "
    "faster host would shorten it",
    "cpu": f"Python and the framework, outside kernels, take more than {units.percent(step.HOST_BOUND_IDLE)} of each "
    "step: less of them would shorten it, even where kernels take the larger share",
}
OF_LIMITS = frozenset({"mfu", "mbu", "limit_bytes_per_s", "limit_flops_per_s", "gate_tokens_per_s"})
"""Metrics that need the limits of the device."""


def title(result: Result) -> str:
    """What was measured, in one line."""
    row = metric.cells(metrics.METRICS, result, "summary")
    return ", ".join(row[column] for column in ("model", "engine", "precision", "device"))


QUICK = (
    "quick: a first number. Not measured: prefill, latency, memory, energy, the profile, the device's limits (an "
    "impossible speed is not recognized), the answers"
)


def remarks(result: Result) -> list[str]:
    """What a reader must know with the number."""
    lines = []
    if metrics.is_random(result):
        lines.append(SHAPE_ONLY)
    if result.scenario.engine == "fake":
        lines.append(FAKE)
    if result.scenario.quick:
        lines.append(QUICK)
    if result.void_count:
        lines.append(f"{result.void_count} repetitions void (another number of tokens), not averaged in")
    return lines


def warnings_block(result: Result) -> Warnings:
    """Each warning with its values and its remedy."""
    return Warnings([(finding.code, finding.text, finding.remedy) for finding in warnings.check(result)])


def view(result: Result) -> list[Block]:
    """A finished run: one sentence with its speed, what it is made of, and its remarks and warnings."""
    block = warnings_block(result)
    return [
        Text(answer(result), strong=True),
        *_groups(result),
        *map(Text, [*_unmeasured(result), *remarks(result)]),
        *([block] if block.findings else []),
    ]


def answer(result: Result) -> str:
    """The one sentence: what was measured on what, its speed, how often, and what makes the speed no usual one."""
    s, interval = result.scenario, speed_interval(result)
    measured = (
        f"{metrics.model_title(result)}, {metrics.engine_title(result)}, {metrics.device_name(result)}, {s.precision}"
    )
    if interval is None:
        return f"{measured}: tokens/s {NOT_MEASURED}"
    known = interval.high is not None
    speed = f"{metrics.speed_cell(result) if known else units.number(interval.mean)} tokens/s"
    basis = ["mean [95% interval]" if known else "no interval", _counted(result)]
    caveats = [FAKE] * (s.engine == "fake")
    caveats += ["quick: a first number"] * s.quick
    caveats += [f"{result.void_count} void"] * bool(result.void_count)
    return f"{measured}: {speed} ({'; '.join([*basis, *caveats])})"


def _counted(result: Result) -> str:
    """ "3 processes × 10 repetitions"."""
    one, counted = len(result.runs) == 1, metrics.counts(result)
    if " × " in counted:
        repetitions = counted.split(" × ")[1]
        plural = "" if repetitions == "1" else "s"
        return f"{len(result.runs)} process{'' if one else 'es'} × {repetitions} repetition{plural}"
    return f"{len(result.runs)} processes with {counted} repetitions"


def _listed(result: Result) -> list[Metric[Result]]:
    """The metrics that are a property of this device, and no part of the sentence."""
    absent = IN_ANSWER if result.scenario.device == "cuda" else IN_ANSWER | ON_GPU
    return [m for m in metrics.METRICS if m.place != "data" and m.title and m.name not in absent]


def _groups(result: Result) -> list[Facts]:
    """One block a group, a line a metric that was measured, those of no group last."""
    measured = [m for m in _listed(result) if m.cell(result) != NOT_MEASURED]
    names = sorted({m.group for m in measured}, key=[*GROUPS, ""].index)
    facts = {name: {m.title: m.line(result) for m in measured if m.group == name} for name in names}
    if HOST_BOUND in facts.get("Bottleneck", {}).get("decode step", ""):
        facts["Bottleneck"][HOST_BOUND] = HOST_BOUND_MEANS[result.scenario.device]
    return [Facts(lines, name) for name, lines in facts.items()]


def _unmeasured(result: Result) -> list[str]:
    """What was not measured, a line a reason; of a quick run `remarks` says it."""
    if result.scenario.quick:
        return []
    by_reason: dict[str, list[str]] = {}
    for m in _listed(result):
        if m.cell(result) == NOT_MEASURED:
            by_reason.setdefault(_reason(result, m), []).append(m.title)
    return [
        f"{NOT_MEASURED}: {', '.join(titles)}{f' ({reason})' if reason else ''}" for reason, titles in by_reason.items()
    ]


def _reason(result: Result, unmeasured: Metric[Result]) -> str:
    """Why a metric was not measured, as far as the result shows it."""
    if result.status != "complete":
        return f"the run was {result.status} before" if result.status == "interrupted" else f"status {result.status}"
    if unmeasured.group == "Energy" and (result.latency or result.prefill):  # which are measured after it
        return "no energy counter could be read"
    if unmeasured.name in OF_LIMITS and result.limits is None:
        return "the device's limits were not measured"
    return ""


def log_lines(result: Result) -> list[str]:
    """What the log ends with."""
    scenario, n = result.scenario, len(result.valid_samples)
    details, summary = (metric.cells(metrics.METRICS, result, place) for place in ("detail", "summary"))
    mean, std = units.number(metrics.mean_speed(result)), summary["std"]
    spread = "" if std == NOT_MEASURED else f" ± {std}"
    return [
        *(f"{name}: {cell}" for name, cell in details.items()),
        f"result {scenario.model} {metrics.engine_title(result)} {scenario.device} {scenario.precision}: "
        f"{mean}{spread} tokens/s (mean ± sample std, n = {n}); {metrics.speed_cell(result)} (mean [95% interval])",
        *remarks(result),
        *warnings_block(result).lines,
    ]


def overview(items: Sequence[RunItem], compact: bool) -> list[Block]:
    """Tokens/s of each, by model; then what each is made of, what holds it back, and its samples.

    Compact: only tokens/s, of those results that have an interval.
    """
    ordered = sorted(items, key=_order)
    if compact:
        return _headlines(ordered)
    by_model = {m: list(some) for m, some in groupby(ordered, key=lambda item: metrics.model_title(item.content))}
    return [*starmap(_speed, by_model.items()), *_latencies(by_model), *_steps(by_model), *map(_card, ordered)]


def _headlines(items: Sequence[RunItem]) -> list[Block]:
    """A row of each result whose speed has an interval, with what makes it no usual one."""
    shown = [item for item in items if (interval := speed_interval(item.content)) and interval.high is not None]
    summaries = [dict(metric.cells(metrics.METRICS, item.content, "summary")) for item in shown]
    rows: list[dict[str, Cell]] = [
        {
            "model": summary["model"],
            "engine, precision, device": ", ".join(summary[name] for name in ("engine", "precision", "device")),
            "tokens/s [95% interval]": Link(summary["tokens/s"], item.path),
            "warnings": summary["warnings"],
        }
        for item, summary in zip(shown, summaries, strict=True)
    ]
    if not shown:
        return [Text("no result has an interval over processes yet")]
    notes = _unique(text for item in shown for text in _notes(item.content))
    return [Table(rows, "Tokens per second"), *map(Text, [*_unlike(shown, summaries), *notes])]


def _speed(model: str, items: Sequence[RunItem]) -> Section:
    """The chart and the table of a model's speeds."""
    figure = _figure(_speed_name(items[0].content.scenario), charts.speeds(model, items), _paths(items))
    return Section(f"Speed of {model}", [*figure, *_speed_table(items)])


def _speed_name(scenario: Scenario) -> str:
    return figure_name(scenario.model, scenario.weights, "speed")


def _figure(name: str, chart: Chart | None, sources: Sequence[Path] = ()) -> list[Figure]:
    return [Figure(chart, name, chart.title, sources)] if chart else []


def _paths(items: Sequence[RunItem]) -> tuple[Path, ...]:
    return tuple(item.path for item in items)


def _order(item: RunItem) -> tuple:
    """The place of its row: by model, then in the order of ENGINES and NAMES of precisions, others last."""
    s = item.content.scenario
    engine, precision = [*ENGINES, s.engine].index(s.engine), [*NAMES, s.precision].index(s.precision)
    return s.model, metrics.model_title(item.content), engine, s.device, precision, s.weights, item.path


def _speed_table(items: Sequence[RunItem]) -> list[Block]:
    """One row each, below it what each is made of, then the legend and what they were measured on."""
    rows: list[dict[str, Cell]] = [dict(metric.cells(metrics.METRICS, item.content, "summary")) for item in items]
    unlike = _unlike(items, rows)
    shared = {t: rows[0][t] for t in SHARED if len({row[t] for row in rows}) == 1}
    origins = _unique(_origin(item) for item in items)
    for row, item in zip(rows, items, strict=True):
        for name in ("model", *shared):  # the model is in the heading
            del row[name]
        number = f" ({origins.index(_origin(item)) + 1})" if len(origins) > 1 else ""
        row["evidence"] = Link("JSON", item.path, number)
    above = "; ".join(f"{name}: {value}" for name, value in shared.items())
    table = Table(rows, "Tokens per second", [frozenset({charts.facets_of(item)}) for item in items])
    notes = _unique(text for item in items for text in _notes(item.content))
    numbered = [f"({n}) {text}" if len(origins) > 1 else text for n, text in enumerate(origins, start=1)]
    doubts = _doubts(items)
    return [
        *([Text(above)] if above else []),
        table,
        *map(Text, [*unlike, *notes]),
        *([doubts] if doubts.findings else []),
        Section("What each speed is made of", [_details(items), Text(LEGEND)], folded=True, documented=True),
        Section("Machines and versions", list(map(Text, numbered)), folded=True, documented=True),
    ]


def _unlike(items: Sequence[RunItem], rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Why rows of one model cannot be compared, apart from engine and precision; none where they can."""
    facts: dict[str, dict[str, set]] = {}
    for item, row in zip(items, rows, strict=True):
        conditions = {title: row[title] for title in CONDITIONS}
        conditions |= {"commit of the suite": item.content.environment.commit}
        for name, value in conditions.items():
            facts.setdefault(name, {}).setdefault(item.content.scenario.model, set()).add(value)
    differ = [name for name, models in facts.items() if any(len(values) > 1 for values in models.values())]
    if not differ:
        return []
    return [f"Rows of one model differ in {', '.join(differ)}: they are no comparison, which `bench.sh ab` makes"]


def _details(items: Sequence[RunItem]) -> Table:
    """What each speed is made of: one row a metric, one column a result, headed by its evidence."""
    heads = _heads(items)
    cells = {heads[item.path]: metric.cells(metrics.METRICS, item.content, "detail") for item in items}
    names = [m.title for m in metrics.METRICS if m.place == "detail"]
    rows = [{"": name, **{head: details[name] for head, details in cells.items()}} for name in names]
    column_facets = {heads[item.path]: frozenset({charts.facets_of(item)}) for item in items}
    return Table(rows, "What each speed is made of", column_facets=column_facets)


def _heads(items: Sequence[RunItem]) -> dict[Path, str]:
    """What each result is called: the file's name, of a run's the folder's too, and more where that is not its own."""
    parts = [item.path.resolve().with_suffix("").parts for item in items]
    least = [2 if item.path.name == item.kind.file else 1 for item in items]
    for more in range(max(map(len, parts))):
        names = ["/".join(ends[-(count + more) :]) for ends, count in zip(parts, least, strict=True)]
        if len(set(names)) == len(names):
            break
    return {item.path: name for item, name in zip(items, names, strict=True)}


def _notes(result: Result) -> list[str]:
    """What a reader must know with the numbers of a result."""
    note = result.model.get("note")
    return [*unfinished(result), *remarks(result), *([f"{result.model['title']}: {note}"] if note else [])]


def _doubts(items: Sequence[RunItem]) -> Warnings:
    """The warnings, each once, with the results that it is of."""
    results: dict[tuple[str, str, str], list[str]] = {}
    heads = _heads(items)
    for item in items:
        for finding in warnings_block(item.content).findings:
            results.setdefault(finding, []).append(f"`{heads[item.path]}`")
    return Warnings([(code, f"{', '.join(names)}: {text}", remedy) for (code, text, remedy), names in results.items()])


def _origin(item: RunItem) -> str:
    result = item.content
    return origin(result.environment, result.scenario.device, result.started_at)


def _latencies(by_model: Mapping[str, Sequence[RunItem]]) -> list[Block]:
    """TTFT and TPOT of each model, each a chart of the results that have it."""
    figures = _figures(by_model, {f"run-{name}": partial(charts.latency, name) for name in charts.LATENCY_SERIES})
    items = [item for some in by_model.values() for item in some]
    measured = [item for item in items if any(seconds(item.content) for seconds in charts.LATENCY_SERIES.values())]
    return [Section("Latency", [*figures, *_left_out(items, measured)], folded=True)] if figures else []


def _figures(
    by_model: Mapping[str, Sequence[RunItem]], kinds: Mapping[str, Callable[[str, Sequence[RunItem]], Chart | None]]
) -> list[Block]:
    """A figure a kind, of each model one: models of any size share no axis."""
    return [
        figure
        for model, items in by_model.items()
        for name, chart in kinds.items()
        for figure in _figure(name, chart(model, items))
    ]


def _left_out(items: Sequence[RunItem], measured: Sequence[RunItem]) -> list[Text]:
    """How many results a chart does not have."""
    count = len(items) - len(measured)
    return [Text(f"{NOT_MEASURED} of {count} further {'result' if count == 1 else 'results'}")] if count else []


def _steps(by_model: Mapping[str, Sequence[RunItem]]) -> list[Block]:
    """Where a step's time goes: of each model a chart a phase, of the results that were profiled."""
    figures = _figures(by_model, {f"run-{phase}-step": partial(charts.steps, phase) for phase in ("decode", "prefill")})
    items = [item for some in by_model.values() for item in some]
    notes = _left_out(items, [item for item in items if item.content.profiles])
    return [Section("What holds it back", [*figures, *notes], folded=True)] if figures else []


def _card(item: RunItem) -> Section:
    """All that must be known of a result, and its raw samples."""
    result, scenario = item.content, item.content.scenario
    settings = {"prompt": scenario.prompt, "warm-ups": _or_steady(scenario.warmups), "seed": str(scenario.seed)}
    settings |= {"started": result.started_at, "status": result.status}
    label, facets = title(result), frozenset({charts.facets_of(item)})
    blocks: list[Block] = [
        *map(Text, _notes(result)),
        *([block] if (block := warnings_block(result)).findings else []),
        Facts(metric.cells(metrics.METRICS, result, "detail"), "Measured"),
        Facts(settings, "Settings"),
        Table(_processes(result), f"Processes of {label}"),
        Table(_samples(result), f"Raw samples of {label}"),
        Facts({"evidence": item.name, "SHA-256": item.sha256}, "Evidence"),
        Facts(environment_facts(result.environment.facts), "Environment"),
    ]
    heading = f"{label}: {metrics.speed_cell(result)} tokens/s"
    return Section(heading, blocks, folded=True, facets=facets, source=item.path)


def _processes(result: Result) -> list[dict[str, Cell]]:
    """Column title → cell of each process: what came before its repetitions."""
    return [
        {
            "process": str(process),
            "load": units.seconds(run.load_s),
            "kernels built": units.seconds(run.kernel_build_s),
            "model compiled": "none" if run.compile_s is None else units.seconds(run.compile_s),
            "warm-ups": str(len(run.warmups)) + {True: ", then steady", False: ", not steady", None: ""}[run.steady],
        }
        for process, run in enumerate(result.runs, 1)
    ]


def _samples(result: Result) -> list[dict[str, Cell]]:
    """Column title → cell of each repetition."""
    return [
        {
            "process": str(process),
            "sample": str(index),
            "seconds": f"{sample.seconds:.6f}",
            "tokens": str(sample.new_tokens),
            "tokens/s": f"{sample.tokens_per_s:.3f}",
            "host's loop": NOT_MEASURED
            if sample.host_s is None
            else " + ".join(map(units.milliseconds, sample.host_s)),
            "counted": "no: void" if sample.is_void(result.scenario) else "yes",
        }
        for process, run in enumerate(result.runs, 1)
        for index, sample in enumerate(run.samples, 1)
    ]


def _or_steady(warmups: int | None) -> str:
    return "until steady" if warmups is None else str(warmups)


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
