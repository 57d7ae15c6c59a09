"""The metrics of a comparison: the ratio and its verdict, then each side's speed and settings."""

from __future__ import annotations

from collections.abc import Callable

from bench_deepspeed.benchmarks.run import metrics as run_metrics
from bench_deepspeed.measure.metric import Metric
from bench_deepspeed.measure.records import Result

from . import estimate, warnings
from .labels import configuration
from .records import SIDES, AbResult


def ratio_of(result: AbResult) -> estimate.PairedRatio | None:
    """B ∕ A over all pairs; None where no round is valid."""
    return estimate.ratio(estimate.log_ratios(result))


def _ratio(value: Callable[[estimate.PairedRatio], float | None]) -> Callable[[AbResult], float | None]:
    return lambda result: (ratio := ratio_of(result)) and value(ratio)


def _codes(result: AbResult) -> list[str]:
    return [finding.code for finding in warnings.check(result)]


def _side_metric(side: str, name: str, meaning: str, value: Callable[[Result], object]) -> Metric[AbResult]:
    def side_value(result: AbResult):
        return value(result.sides[side])

    return Metric(f"{side.lower()}_{name}", "", "", f"{meaning}, of {side}", side_value, place="data")


def _side_metrics(side: str) -> list[Metric[AbResult]]:
    bounds, summary = run_metrics.speed_bounds, {metric.name: metric for metric in run_metrics.METRICS}
    settings = {
        "model": "name of the model",
        "weights": "`pretrained` or `random`",
        "engine": "what generated",
        "precision": "of weights and arithmetic",
    }
    return [
        *(_side_metric(side, name, meaning, _setting(name)) for name, meaning in settings.items()),
        Metric(
            f"{side.lower()}_configuration",
            "",
            "",
            f"engine, precision, and all else that differs between the sides, of {side}",
            lambda result: configuration(result, side),
            place="data",
        ),
        _side_metric(side, "prompt_tokens", "tokens of each prompt", run_metrics.prompt_tokens),
        _side_metric(side, "tokens_per_s_mean", run_metrics.SPEED.meaning, run_metrics.mean_speed),
        _side_metric(side, "tokens_per_s_low", "lower end of its 95% interval", lambda r: (b := bounds(r)) and b[0]),
        _side_metric(side, "tokens_per_s_high", "upper end of its 95% interval", lambda r: (b := bounds(r)) and b[1]),
        *(
            _side_metric(side, name, summary[name].meaning, summary[name].value)
            for name in ("tokens_per_s_std", "compile_s")
        ),
    ]


def _setting(name: str) -> Callable[[Result], object]:
    return lambda result: getattr(result.scenario, name)


METRICS: tuple[Metric[AbResult], ...] = (
    Metric("max_tokens", "new tokens", "count", "new tokens of each generation", lambda r: r.a.scenario.max_tokens),
    Metric(
        "pairs",
        "pairs",
        "count",
        "pairs of processes with a valid round",
        lambda r: sum(map(bool, estimate.log_ratios(r))),
    ),
    Metric(
        "rounds",
        "rounds",
        "count",
        "valid rounds, of all pairs together",
        lambda r: sum(map(len, estimate.log_ratios(r))),
    ),
    Metric(
        "ratio",
        "B ∕ A",
        "",
        "B ∕ A: B's tokens/s over A's, the geometric mean of the pairs",
        _ratio(lambda ratio: ratio.value),
        "higher",
        place="summary",
        shown=lambda r: (ratio := ratio_of(r)) and ratio.shown or "not measured",
    ),
    Metric("ratio_low", "", "", "lower end of its 95% interval", _ratio(lambda ratio: ratio.low), place="data"),
    Metric("ratio_high", "", "", "upper end of its 95% interval", _ratio(lambda ratio: ratio.high), place="data"),
    Metric(
        "detectable_ratio",
        "detectable",
        "",
        "the smallest B ∕ A above 1 that as many pairs with this spread show with 80% power",
        _ratio(lambda ratio: ratio.detectable and ratio.detectable.ratio),
        place="data",
    ),
    Metric(
        "faster",
        "faster",
        "",
        "`A` or `B`; none where the interval holds 1, or there is none",
        lambda r: estimate.faster(ratio_of(r)),
        place="data",
    ),
    Metric("verdict", "verdict", "", "it in words", lambda r: estimate.verdict(ratio_of(r)), place="summary"),
    *(metric for side in SIDES for metric in _side_metrics(side)),
    Metric("warnings", "warnings", "", "codes of the warnings, a space between", lambda r: " ".join(_codes(r))),
)
