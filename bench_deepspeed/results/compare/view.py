"""A comparison as text: what differs, the metrics with their ratios, and what follows from them."""

from __future__ import annotations

import json

from bench_deepspeed.benchmarks.run import metrics
from bench_deepspeed.benchmarks.run.view import remarks
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.power import POWER
from bench_deepspeed.measure.ratio import Ratio
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.regression import Outcome, sentence_of
from bench_deepspeed.measure.speed import SPEED_LEGEND, process_seconds
from bench_deepspeed.report import terminal
from bench_deepspeed.report.blocks import Block, Facts, Table, Text

from .comparable import differences
from .comparison import Comparison, compared

LONGEST = 60  # characters of a setting in a cell
ABSENT = "–"
LEGEND = (
    f"{SPEED_LEGEND}; ∕ a: the ratio to a, of energy that of "
    f"J/token; {ABSENT}: not measured in both, or not in the same way"
)
APART = (
    "Measured apart: what changed between the runs (clocks, temperature, other work, another day) is in the ratios, "
    "and in no interval. `bench.sh ab` measures interleaved and is the stronger test."
)


def text(comparison: Comparison) -> str:
    """All of it, for the terminal."""
    return terminal.render(blocks(comparison))


def blocks(comparison: Comparison) -> list[Block]:
    """The files, the verdicts, the metrics, what differs, and the remarks."""
    return [
        Facts({letter: str(path) for letter, path in zip(comparison.letters, comparison.paths, strict=True)}),
        *(Text(f"not comparable: {obstacle}") for obstacle in comparison.obstacles),
        *map(Text, _sentences(comparison)),
        *_metrics(comparison),
        *_differences(comparison),
        *map(Text, [*_remarks(comparison), APART]),
    ]


def _differences(comparison: Comparison) -> list[Block]:
    differing = differences(comparison.results)
    if not differing:
        return [Text("Nothing that is recorded differs in settings and environment.")]
    rows = [{"what differs": name, **_by_letter(comparison, map(_shown, values))} for name, values in differing.items()]
    return [Table(rows, "What differs"), Text(f"{ABSENT}: none, or not recorded")]


def _by_letter(comparison: Comparison, values) -> dict:
    return dict(zip(comparison.letters, values, strict=True))


def _shown(value) -> str:
    """A setting in one cell of one line."""
    if value is None:
        return ABSENT
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    words = " ".join(words.split()).replace("|", "∣")
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _metrics(comparison: Comparison) -> list[Block]:
    """A row a metric that was measured in one of them at least; the others are listed."""
    rows, unmeasured = [], []
    for metric in compared():
        if all(metric.value(result) is None for result in comparison.results):
            unmeasured.append(metric.title)
        else:
            rows.append({"metric": metric.title, **_row(comparison, metric)})
    rows += [{"metric": name, **_by_letter(comparison, cells)} for name, cells in _without_ratio(comparison).items()]
    missing = [f"not measured in any: {', '.join(unmeasured)}"] if unmeasured else []
    return [Table(rows, "Metrics"), *map(Text, [LEGEND, *missing])]


def _without_ratio(comparison: Comparison) -> dict[str, list[str]]:
    """Seconds of compiling depend on what a cache held before, which nobody knows; of warnings there is no ratio."""
    compiled = any(run.compile_s is not None for result in comparison.results for run in result.runs)
    names = [*(["compile_s"] if compiled else []), "warnings"]
    return {m.title: [m.cell(result) for result in comparison.results] for m in metrics.METRICS if m.name in names}


def _row(comparison: Comparison, metric: Metric[Result]) -> dict[str, str]:
    """Each result's cell, and behind it the ratio to the first."""
    first = comparison.results[0]
    row = {"a": metric.cell(first)}
    for other, (letter, speed) in zip(comparison.results[1:], comparison.speeds().items(), strict=True):
        ratio = metric.ratio(first, other)
        text = ABSENT if ratio is None else f"{ratio:.3f}"
        row |= {letter: metric.cell(other), f"{letter} ∕ a": speed.shown if metric is metrics.SPEED and speed else text}
    return row


def _sentences(comparison: Comparison) -> list[str]:
    """What each but the first shows, and with --fail_on_regression whether it is slower by more."""
    lines = []
    for letter, ratio in comparison.speeds().items():
        lines.append(_verdict(comparison, letter, ratio))
        if ratio is not None and ratio.detectable is not None:
            lines.append(
                f"Detectable with {POWER:.0%} power, by processes that differ as these do: {letter} "
                f"{ratio.detectable.shown} than a"
            )
    return [*lines, *regressions(comparison)]


def _verdict(comparison: Comparison, letter: str, ratio: Ratio | None) -> str:
    if ratio is None:
        return f"{letter} and a: no verdict, since one of them has no valid repetition"
    words = f"{letter} makes {ratio.shown} times the tokens/s of a"
    if ratio.verdict is None:
        results = _by_letter(comparison, comparison.results)
        processes = {name: sum(map(bool, process_seconds(result))) for name, result in results.items()}
        single = " and ".join(name for name in ("a", letter) if processes[name] == 1)
        return (
            f"no verdict: {words}; of {single} one process was measured, and how much another would differ is not "
            "known: measure with `--processes 3` or more"
        )
    if ratio.degrees_of_freedom is not None:
        words += f" (95% interval, {ratio.degrees_of_freedom:.1f} degrees of freedom)"
    if ratio.verdict == "no difference shown":
        return f"no difference shown between {letter} and a: {words}"
    return f"{letter} is {ratio.verdict} than a: {words}"


def regressions(comparison: Comparison) -> dict[str, Outcome]:
    """Whether each is slower than the first by more than the bound: in one line → the outcome."""
    speeds, bound = comparison.speeds(), comparison.bound
    return {sentence_of(speeds[x], bound, x, "a"): outcome for x, outcome in comparison.regressions().items()}


def _remarks(comparison: Comparison) -> list[str]:
    """What must be shown with the numbers, each once, with the letters that it is about."""
    about: dict[str, list[str]] = {}
    for letter, result in _by_letter(comparison, comparison.results).items():
        for remark in remarks(result):
            about.setdefault(remark, []).append(letter)
    return [f"{', '.join(letters)}: {remark}" for remark, letters in about.items()]
