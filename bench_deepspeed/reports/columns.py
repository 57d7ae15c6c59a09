"""The columns of CSV and JSON lines, in their order: name → meaning. docs/methodology.md is rendered from here.

A column of one name means the same in every kind of file. Units are in the names: `_s` seconds, `_bytes`,
`_j` joules, `_w` watts; `_per_s` a second. Empty in CSV, and null in JSON, is what was not measured.
"""

from __future__ import annotations

from ..load.metrics import GENERATION_TOKENS_PER_S

COMPILE_S = "time that the first process took to compile the model (the others may find it in the compiler's cache)"
IDENTITY = {
    "file": "the evidence: its path from here or in the checkout, else its name",
    "kind": "of which kind the file is",
    "status": "of the measurement: `complete`, or what else became of it",
    "started_at": "when it began, UTC",
    "model": "name of the model",
    "weights": "`pretrained`, or `random`: a speed of this shape, and nothing else",
    "engine": "what generated",
    "device": "`cuda` or `cpu`",
    "device_name": "the GPU's or the processor's name",
    "precision": "of weights and arithmetic",
    "suite_commit": "commit of the suite that measured",
}
MACHINE = {
    "torch": "version of torch",
    "deepspeed": "version of DeepSpeed",
    "deepspeed_mii": "version of DeepSpeed-MII",
    "transformers": "version of Transformers",
}
RESULT = {
    **IDENTITY,
    **MACHINE,
    "prompt_tokens": "tokens of each prompt",
    "max_tokens": "new tokens of each generation",
    "processes": "processes that measured",
    "repetitions": "valid repetitions, of all processes together",
    "void_repetitions": "repetitions with another number of tokens, in no statistic",
    "tokens_per_s_mean": "mean of the processes' means",
    "tokens_per_s_low": "lower end of its 95% interval",
    "tokens_per_s_high": "upper end of its 95% interval",
    "tokens_per_s_std": "sample standard deviation of all repetitions",
    "tokens_per_s_median": "median of all repetitions",
    "tokens_per_s_min": "the slowest repetition",
    "tokens_per_s_max": "the fastest repetition",
    "load_s": "mean time to load, over the processes",
    "compile_s": COMPILE_S,
    "latency_method": "how tokens were told apart: `streamed` or `difference`",
    "ttft_s": "mean time to the first token",
    "tpot_s": "mean time per output token",
    "itl_p50_s": "inter-token latency, median",
    "itl_p90_s": "its 90th percentile",
    "itl_p99_s": "its 99th percentile",
    "prefill_tokens": "tokens of the long prompt that prefill is timed with",
    "prefill_s": "mean time of that prefill",
    "mfu": "MFU of prefill, a share of 1",
    "mbu": "MBU of decode, a share of 1",
    "mbu_source": "the time that MBU is from",
    "limit_bytes_per_s": "memory bandwidth of the device, measured",
    "limit_flops_per_s": "matrix products of the device in this precision, measured",
    "decode_step_s": "time of a decode step when profiled",
    "decode_busy_s": "of that, time in which the device worked",
    "decode_idle_s": "the rest: the device waits for the host",
    "weights_bytes": "the parameters as the engine holds them",
    "kv_pool_bytes": "reserved for the KV cache",
    "kv_used_bytes": "used of the KV cache",
    "workspace_bytes": "beyond weights and cache, at the peak",
    "device_peak_bytes": "peak of the device's memory",
    "driver_bytes": "used on the device as its driver sees it",
    "host_peak_bytes": "peak of the host's process",
    "energy_j_per_token": "energy of a whole generation over its new tokens",
    "power_w": "mean power during it",
    "warnings": "codes of the warnings, a space between",
}
QUALITY = {
    **IDENTITY,
    **MACHINE,
    "questions": "questions asked",
    "exact_answers": "answers with all tokens equal to the reference's",
    "first_difference": "the first token that differs in any answer; none where all are equal",
    "edit_similarity": "1 − edit distance ∕ length",
    "answer_gap": "the answer gap, in logits",
    **{
        f"{of}{place}_{name}": f"{meaning}, {words}" + (": Transformers in the same precision" if of else "")
        for of in ("", "floor_")
        for place, words in (
            ("early", "with the question first in the context"),
            ("late", "after the other questions and answers"),
        )
        for name, meaning in {
            "top1_disagreement": "share of positions where the largest logit is another token",
            "nll_difference": "ΔNLL, nats",
            "mean_kl": "mean KL, nats",
            "max_kl": "max KL, nats",
            "on_top_kl": "KL on top, nats",
        }.items()
        if not (of and name == "on_top_kl")
    },
    "within_noise_floor": "the verdict, by the rules of now",
    "verdict": "it in words",
}
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
LOAD = {
    **IDENTITY,
    **MACHINE,
    "target": "what was asked",
    "clients": "clients at a time, where clients wait",
    "rate_per_s": "requests sent a second, where they do not",
    "due": "requests due in the window",
    "failed": "of these, failed",
    "offered_per_s": "requests due a second",
    "requests_per_s": "requests that ended a second",
    "tokens_per_s": "tokens that came a second",
    **{
        f"{name}_p{percent}_s": f"{name.upper()}, {'median' if percent == 50 else f'{percent}th percentile'}"
        for name in ("e2e", "ttft", "tpot", "itl")
        for percent in (50, 90, 95, 99)
    },
    "goodput_per_s": "requests a second within the service level, where one was set",
    **{
        f"effective_{rate}_per_s": f"requests a second within FastGen's service level at {rate} tokens/s"
        for rate in GENERATION_TOKENS_PER_S
    },
    "lag_p99_s": "how late the generator sent, 99th percentile",
    "generator_cpu_share": "of one CPU, taken by the load generator",
    "server_cpu_share": "of one CPU, taken by the target's processes together",
    "server_cpu_share_max": "of one CPU, taken by the busiest of them",
    "waited_for_kv": "requests that found no room in the KV cache when they were sent",
    "saturated": "whether the queue grew; none where that cannot be told",
    "remarks": "what makes the figures doubtful",
}
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
SAMPLES = {
    **IDENTITY,
    "side": "of a comparison, `A` or `B`",
    "phase": "`warmup` or `timed`; in a sweep `prefill` or `total`; in a load test `request`",
    "group": "the process (of a comparison the pair of them), scenario or level, from 1",
    "index": "the sample within it, from 1; of a comparison's timed ones the round",
    "batch_size": "sequences at once",
    "prompt_tokens": "tokens of each prompt",
    "new_tokens": "tokens made of each sequence",
    "seconds": "time of it; of a request from when it was due to its last token",
    "tokens_per_s": "new tokens of all sequences ∕ seconds",
    "valid": "whether it may enter statistics",
    "sm_clock_mhz": "the GPU's clock right after it",
    "temperature_c": "the GPU's temperature right after it",
    "other_cpus_busy": "CPUs that other processes kept busy meanwhile",
}
KINDS = {"result": RESULT, "quality": QUALITY, "sweep": SWEEP, "load": LOAD, "ab": AB, "samples": SAMPLES}
"""Kind of file → its columns; `samples` are those of --samples, for any kind but quality."""
