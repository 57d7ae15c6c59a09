from __future__ import annotations

from bench_deepspeed.benchmarks.common.columns import COMPILE_S, IDENTITY, MACHINE

AB = {
    **IDENTITY,
    **MACHINE,
    "max_tokens": "new tokens of each generation",
    "pairs": "pairs of processes with a valid round",
    "rounds": "valid rounds, of all pairs together",
    "ratio": "B ∕ A: B's tokens/s over A's, the geometric mean of the pairs",
    "ratio_low": "lower end of its 95% interval",
    "ratio_high": "upper end of its 95% interval",
    "faster": "`A` or `B`; none where the interval holds 1, or there is none",
    "verdict": "it in words",
    **{
        f"{side.lower()}_{name}": f"{meaning}, of {side}"
        for side in "AB"
        for name, meaning in {
            "model": "name of the model",
            "weights": "`pretrained` or `random`",
            "engine": "what generated",
            "precision": "of weights and arithmetic",
            "configuration": "engine, precision, and all else that differs between the sides",
            "prompt_tokens": "tokens of each prompt",
            "tokens_per_s_mean": "mean of the processes' means",
            "tokens_per_s_low": "lower end of its 95% interval",
            "tokens_per_s_high": "upper end of its 95% interval",
            "tokens_per_s_std": "sample standard deviation of all repetitions",
            "compile_s": COMPILE_S,
        }.items()
    },
    "warnings": "codes of the warnings, a space between",
}
"""Of what identifies a comparison, a column is empty where its sides differ in it."""
