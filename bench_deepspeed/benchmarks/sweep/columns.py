from __future__ import annotations

from bench_deepspeed.benchmarks.common.columns import IDENTITY, MACHINE

SWEEP = {
    **IDENTITY,
    **MACHINE,
    "batch_size": "sequences at once",
    "prompt_tokens": "tokens of each prompt",
    "max_tokens": "new tokens of each generation",
    "repetitions": "timed pairs of generations",
    "reason": "why there are no figures",
    "prefill_s": "mean time until each sequence has its first token",
    "decode_tokens_per_s": "of all sequences, after that",
    "decode_tokens_per_s_error": "its standard error",
    "memory_limit_tokens_per_s": "decode tokens/s that the memory allows",
    "compute_limit_tokens_per_s": "decode tokens/s that the matrix products allow",
    "tokens_per_s": "of all sequences, prefill included",
    "warnings": "codes of the warnings, a space between",
}
