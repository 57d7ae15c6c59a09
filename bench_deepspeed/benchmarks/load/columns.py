from __future__ import annotations

from bench_deepspeed.benchmarks.common.columns import IDENTITY, MACHINE

from .metrics import GENERATION_TOKENS_PER_S

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
    "remarks": "what makes the figures doubtful, or why there are none",
}
