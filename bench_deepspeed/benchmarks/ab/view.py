"""A comparison as tables and one sentence."""

from __future__ import annotations

from bench_deepspeed.benchmarks.run.rows import compiling, counts, device_name, is_random, speed_cell, std
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.records import Result
from bench_deepspeed.measure.statistics import mean_interval, process_speeds
from bench_deepspeed.measure.warnings import Finding
from bench_deepspeed.model import catalog
from bench_deepspeed.report.tables import table as as_table

from . import estimate, warnings
from .records import AbResult

LEGEND = (
    "tokens/s: mean [95% interval of it, from the means of the processes]; B ∕ A: geometric mean of the rounds' ratios "
    "[95% interval of it, from the means of the pairs of processes; of one pair: for these two processes only, "
    "autocorrelation allowed for]"
)


def text(result: AbResult) -> str:
    """The whole comparison as Markdown: the sides, the verdict, the pairs, and what must be known beside them."""
    notes = [LEGEND, *remarks(result), *(_warning(finding) for finding in warnings.check(result))]
    return "\n\n".join([constants(result), table(result), f"**{verdict(result)}.**", pairs_table(result), *notes])


def verdict(result: AbResult) -> str:
    """The one sentence."""
    return estimate.sentence(estimate.ratio(estimate.log_ratios(result)))


def lines(result: AbResult) -> list[str]:
    """What the log ends with."""
    sides = [f"{side}: {configuration(result, side)}: {speed_cell(of)} tokens/s" for side, of in result.sides.items()]
    return [*sides, verdict(result), *remarks(result), *(_warning(finding) for finding in warnings.check(result))]


def constants(result: AbResult) -> str:
    """What both share, in one line."""
    s = result.a.scenario
    prompt_tokens = {sample.prompt_tokens for of in result.sides.values() for sample in of.valid_samples}
    length = f"{' or '.join(map(str, sorted(prompt_tokens))) or 'prompt'} + {s.max_tokens} tokens"
    return f"{models(result)}; {device_name(result.a)}; {length}"


def models(result: AbResult) -> str:
    """The model of both, or both."""
    return " and ".join(dict.fromkeys(map(model_title, result.sides.values())))


def table(result: AbResult) -> str:
    """One row a side."""
    return as_table(side_rows(result))


def side_rows(result: AbResult) -> list[dict[str, str]]:
    """Column title → cell of each side."""
    rows = []
    for side, of in result.sides.items():
        row = {"": side, "configuration": configuration(result, side), "tokens/s": speed_cell(of), "std": std(of)}
        compiled = {"compiling": compiling(of)} if _compiles(result) else {}
        rows.append({**row, "pairs × rounds": counts(of), **compiled})
    return rows


def _compiles(result: AbResult) -> bool:
    return any(run.compile_s is not None for of in result.sides.values() for run in of.runs)


def configuration(result: AbResult, side: str) -> str:
    """Engine and precision, and what else differs between the sides."""
    of, other = result.sides[side], result.sides["B" if side == "A" else "A"]
    parts = [of.scenario.engine, of.scenario.precision]
    for mine, theirs in ((model_title(of), model_title(other)), (of.scenario.weights, other.scenario.weights)):
        parts += [mine] * (mine != theirs)
    facts, others = of.environment, other.environment
    packages = {name: (v, others.get("packages", {}).get(name)) for name, v in facts.get("packages", {}).items()}
    parts += [f"{name} {mine or 'not installed'}" for name, (mine, theirs) in packages.items() if mine != theirs]
    parts += [f"Python {facts.get('python')}"] * (facts.get("python") != others.get("python"))
    asked = result.asked[side]
    return ", ".join([*parts, *(f"{key[4:]}={value}" for key, value in asked.items() if key.startswith("env."))])


def model_title(of: Result) -> str:
    """A side's model, and whether its weights are random."""
    return catalog.load(of.scenario.model).title + (" (random weights)" if is_random(of) else "")


def pairs_table(result: AbResult) -> str:
    """One row a pair of processes: both speeds and their ratio."""
    return as_table(pair_rows(result))


def pair_rows(result: AbResult) -> list[dict[str, str]]:
    """Column title → cell of each pair of processes, and at the end of all together."""
    logs = estimate.log_ratios(result)
    by_side = [process_speeds(of) for of in result.sides.values()]
    rows = [
        {"pair": str(number), **_means(speeds), "B ∕ A": _ratio(estimate.ratio_within(pair))}
        for number, (pair, *speeds) in enumerate(zip(logs, *by_side, strict=True), start=1)
    ]
    return [*rows, {"pair": "all", **_means([_all(s) for s in by_side]), "B ∕ A": _ratio(estimate.ratio(logs))}]


def _all(speeds: list[list[float]]) -> list[float]:
    """The processes' means; see `stats.mean_interval`."""
    return [found.mean for process in speeds if (found := mean_interval([process]))]


def _means(speeds: list[list[float]]) -> dict[str, str]:
    cells = [NOT_MEASURED if not s else f"{sum(s) / len(s):.2f}" for s in speeds]
    return {"A tokens/s": cells[0], "B tokens/s": cells[1]}


def _ratio(found: estimate.Ratio | None) -> str:
    return NOT_MEASURED if found is None else found.shown


def remarks(result: AbResult) -> list[str]:
    """What must stand beside the figures."""
    found = []
    if same(result):
        found.append("A and B are the same configuration: what differs is noise, and a verdict would be an error")
    if any(is_random(of) for of in result.sides.values()):
        found.append("random weights: the speed of this shape, not of a model that answers anything")
    if any(of.scenario.engine == "fake" for of in result.sides.values()):
        found.append("the fake engine: not a measurement of anything")
    if _compiles(result):
        found.append(
            "compiling: of each process in turn, beside the other side's loading; it is in no speed and no ratio"
        )
    if void := result.a.void_count + result.b.void_count:
        found.append(f"{void} generations void (another number of tokens): their rounds are left out")
    return found


def same(result: AbResult) -> bool:
    """Whether A was compared with itself."""
    return result.a.scenario == result.b.scenario and not any(
        key == "python" or key.startswith("env.") for asked in result.asked.values() for key in asked
    )


def refusal(result: AbResult) -> str | None:
    """Why a comparison must not be published; None when it may."""
    if any("digest" not in of.model for of in result.sides.values()):
        return "an engine without a model measures nothing"
    if result.status != "complete":
        return f"its status is {result.status!r}"
    if result.a.void_count or result.b.void_count:
        return "some of its generations are void"
    if any(of.limits is None for of in result.sides.values()):
        return "no limits were measured with it"
    return None


def _warning(finding: Finding) -> str:
    return f"warning {finding.code}: {finding.text}; {finding.remedy}"
