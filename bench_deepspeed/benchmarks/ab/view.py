"""A comparison as blocks: one sentence, both sides, the pairs, and their remarks and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.benchmarks.common.kind import Item, unfinished
from bench_deepspeed.benchmarks.common.provenance import environment_facts, origin
from bench_deepspeed.benchmarks.run import metrics as run_metrics
from bench_deepspeed.core.text import FAKE, NOT_MEASURED, SHAPE_ONLY
from bench_deepspeed.core.units import number
from bench_deepspeed.measure.power import POWER
from bench_deepspeed.measure.speed import SPEED_LEGEND, interval_of, process_seconds
from bench_deepspeed.report.blocks import Block, Facts, Figure, Link, Section, Table, Text, Warnings

from . import charts, estimate, warnings
from .labels import configuration, constants, facets_of, models, same
from .records import AbResult

LEGEND = (
    f"{SPEED_LEGEND}; B ∕ A: geometric mean of the rounds' ratios "
    "[95% interval of it, from the means of the pairs of processes; of one pair: for these two processes only, "
    "autocorrelation allowed for]"
)


def view(result: AbResult) -> list[Block]:
    """The whole comparison: the verdict first, then what must be known with it."""
    known = map(Text, [*remarks(result), *detectable(result)])
    basis: list[Block] = [Text(constants(result)), _sides(result), _pairs(result), Text(LEGEND)]
    return [Text(verdict(result), strong=True), *known, *basis, *_found(result)]


def document(result: AbResult, evidence: Link | None = None) -> list[Block]:
    """The whole comparison in a page, where it stands below a heading: the verdict after what both share."""
    power = map(Text, detectable(result))
    pairs = Section("Pairs of processes", [_pairs(result), Text(LEGEND)], folded=True, documented=True)
    return [
        Text(constants(result), link=evidence),
        _sides(result),
        Text(verdict(result), strong=True),
        *power,
        *map(Text, remarks(result)),
        *_found(result),
        pairs,
    ]


def _found(result: AbResult) -> list[Block]:
    """The warnings, where there are any."""
    block = _warnings(result)
    return [block] if block.findings else []


def _warnings(result: AbResult) -> Warnings:
    return Warnings([(finding.code, finding.text, finding.remedy) for finding in warnings.check(result)])


def verdict(result: AbResult) -> str:
    """The one sentence."""
    return estimate.verdict(estimate.ratio(estimate.log_ratios(result)))


def detectable(result: AbResult) -> list[str]:
    """What this comparison could have shown, in one sentence; none where there is no interval."""
    ratio = estimate.ratio(estimate.log_ratios(result))
    if ratio is None or ratio.detectable is None:
        return []
    detected = "" if result.detect is None else f"; requested with --detect: {100 * result.detect:.3g}%"
    pairs = f"by {ratio.n} pairs that differ as these do"
    return [f"Detectable with {POWER:.0%} power, {pairs}: B {ratio.detectable.shown} than A{detected}"]


def log_lines(result: AbResult) -> list[str]:
    """What the log ends with."""
    sides = [
        f"{side}: {configuration(result, side)}: {run_metrics.speed_cell(side_result)} tokens/s"
        for side, side_result in result.sides.items()
    ]
    return [*sides, verdict(result), *detectable(result), *remarks(result), *_warnings(result).lines]


def _sides(result: AbResult) -> Table:
    """One row a side."""
    std = next(metric for metric in run_metrics.METRICS if metric.name == "tokens_per_s_std")
    table = []
    for side, own in result.sides.items():
        row = {"": side, "configuration": configuration(result, side), "tokens/s": run_metrics.speed_cell(own)}
        compiled = {"compiling": run_metrics.compiling(own)} if _compiles(result) else {}
        table.append({**row, "std": std.cell(own), "pairs × rounds": run_metrics.counts(own), **compiled})
    return Table(table, "Both sides", [facets_of(result)] * len(table))


def _compiles(result: AbResult) -> bool:
    return any(run.compile_s is not None for side_result in result.sides.values() for run in side_result.runs)


def _pairs(result: AbResult) -> Table:
    """One row a pair of processes, with both speeds and their ratio, and at the end all together."""
    logs = estimate.log_ratios(result)
    by_side = [process_seconds(side_result) for side_result in result.sides.values()]
    table = [
        {"pair": str(index), **_speeds(result, [[s] for s in seconds]), "B ∕ A": _ratio(estimate.ratio_within(pair))}
        for index, (pair, *seconds) in enumerate(zip(logs, *by_side, strict=True), start=1)
    ]
    table.append({"pair": "all", **_speeds(result, by_side), "B ∕ A": _ratio(estimate.ratio(logs))})
    return Table(table, "Pairs of processes", [facets_of(result)] * len(table))


def _speeds(result: AbResult, by_side: Sequence[list[list[float]]]) -> dict[str, str]:
    """Tokens/s of each side, as everywhere total tokens over total time, from the seconds of its processes."""
    tokens = result.a.scenario.max_tokens
    found = [interval_of(tokens, [process for process in processes if process]) for processes in by_side]
    cells = [NOT_MEASURED if interval is None else number(interval.mean) for interval in found]
    return {"A tokens/s": cells[0], "B tokens/s": cells[1]}


def _ratio(paired: estimate.PairedRatio | None) -> str:
    return NOT_MEASURED if paired is None else paired.shown


def remarks(result: AbResult) -> list[str]:
    """What a reader must know with the numbers."""
    lines = []
    if same(result):
        lines.append("A and B are the same configuration: what differs is noise, and a verdict would be an error")
    if any(run_metrics.is_random(side) for side in result.sides.values()):
        lines.append(SHAPE_ONLY)
    if any(side.scenario.engine == "fake" for side in result.sides.values()):
        lines.append(FAKE)
    if _compiles(result):
        lines.append("compiling: of each process in order, while the other side loads; it is in no speed and no ratio")
    if void := result.a.void_count + result.b.void_count:
        lines.append(f"{void} generations void (another number of tokens): their rounds are left out")
    return lines


def overview(items: Sequence[Item[AbResult]], compact: bool) -> list[Block]:
    """B ∕ A of the comparisons of each model in a chart, then each."""
    by_model: dict[str, list[Item[AbResult]]] = {}
    for item in items:
        by_model.setdefault(models(item.content), []).append(item)
    drawn = (charts.ratios([item.content for item in members]) for members in by_model.values())
    figures = [Figure(chart, "ab-ratios", chart.title) for chart in drawn if chart]
    return [*([Section("B ∕ A", figures, folded=True)] if figures else []), *map(_section, items)]


def _section(item: Item[AbResult]) -> Section:
    result = item.content
    # What differs between the two machines' facts is shown with the sides.
    measured = origin(result.a.environment, result.a.scenario.device, result.started_at)
    blocks: list[Block] = [
        *map(Text, unfinished(result)),
        *document(result, Link("JSON", item.path)),
        Section("Machine and versions", [Text(measured)], folded=True, documented=True),
        Section("Settings", [Facts(_settings(result))], folded=True),
        Section("Raw samples", [Table(_rounds(result), "Raw samples")], folded=True),
        Section("Environment", [Facts(environment_facts(_facts(result)))], folded=True),
    ]
    engines = " against ".join(f"{side.scenario.engine}, {side.scenario.precision}" for side in result.sides.values())
    return Section(f"{models(result)}: {engines}", blocks, facets=facets_of(result))


def _rounds(result: AbResult) -> list[dict[str, str]]:
    """Column title → cell of each round, as it was timed."""
    rows = []
    for pair, (a, b, rounds) in enumerate(zip(result.a.runs, result.b.runs, result.rounds, strict=False), 1):
        for index, (sample_a, sample_b, timed) in enumerate(zip(a.samples, b.samples, rounds, strict=False), 1):
            void = sample_a.is_void(result.a.scenario) or sample_b.is_void(result.b.scenario)
            row = {"pair": str(pair), "round": str(index), "first": timed.order[0]}
            by_side = {"A": sample_a, "B": sample_b}
            row |= {f"{side} seconds": f"{sample.seconds:.6f}" for side, sample in by_side.items()}
            row |= {f"{side} tokens/s": f"{sample.tokens_per_s:.3f}" for side, sample in by_side.items()}
            rows.append({**row, "counted": "no: void" if void else "yes"})
    return rows


def _settings(result: AbResult) -> dict[str, str]:
    scenario = result.a.scenario
    sides = {
        side: " ".join(f"{key}={value}" for key, value in settings.items()) for side, settings in result.asked.items()
    }
    facts = {"prompt": scenario.prompt, "seed": str(scenario.seed), "started": result.started_at}
    return {**sides, **facts, "status": result.status, "stopped": result.stopped or "not by itself"}


def _facts(result: AbResult) -> dict:
    """The environment: once what both sides have alike, else that of each."""
    a, b = result.a.environment.facts, result.b.environment.facts
    facts = {}
    for name in {**a, **b}:
        alike = name in a and name in b and a[name] == b[name]
        facts |= {name: a[name]} if alike else {f"{name} of A": a.get(name), f"{name} of B": b.get(name)}
    return facts
