"""Where the time of a step goes: kernels by family, what is idle, and which of them is the bottleneck."""

from __future__ import annotations

import re

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.core.units import percent
from bench_deepspeed.measure.records import Profile

HOST_BOUND_IDLE = 0.20
"""Idle for more than this share of a step: host-bound. A host that took no time would then make the step
1 ∕ (1 − 0.20) = 1.25 times as fast; less is about as much as the speed differs between processes."""

FAMILIES = {  # the first whose pattern is found in the name, whatever its case; else "other"
    # RowParallel is AutoTP's function that waits for the sum, wait_tensor Transformers'.
    "all-reduces": r"nccl|gloo|all_?reduce|RowParallel|wait_tensor",
    # inductor names a kernel after all that it fused, of whatever family
    "fused": r"^triton_(poi|red|per|for)_|CompiledFxGraph",
    # Flash attention is built of CUTLASS, so attention comes before the matrix products.
    "attention": r"flash|fmha|attention|sdpa|kv_rotary|kv_copy",
    "norm": r"(rms|layer)_?norm|fused(_residual)?_ln",
    "matrix products": r"gemm|gemv|cutlass|cublas|nvjet|split_?k_?reduc|aten::(addmm|mm|bmm|baddbmm|linear|matmul)$",
    "sampling": r"sort|top_?k|argmax|softmax|cumsum|scan|reverse_indices|distribution|multinomial",
    "copies": r"copy|memcpy|memset|catarray|fill|embed|gather|scatter|index_?select|aten::(cat|index|clone)$",
    "elementwise": r"elementwise|activation|reduce_kernel|aten::(add|sub|mul|div|neg|pow|rsqrt|silu|gelu|mean|sum)_?$",
}
OTHER = "other"
GPU_IDLE, HOST = "GPU idle (waits for the host)", "Python and the framework"


def family(name: str) -> str:
    """The family of a kernel or an operator, by its name."""
    return next((title for title, pattern in FAMILIES.items() if re.search(pattern, name, re.IGNORECASE)), OTHER)


def families(profile: Profile) -> dict[str, float]:
    """Seconds a step of each family, the largest first; together `busy_s`, or the step where that is shorter.

    Kernels that ran at the same time are each counted whole in `kernels`, so all are scaled down alike. What is beyond
    the step was added by the profiler.
    """
    sums: dict[str, float] = {}
    for kernel in profile.kernels:
        sums[family(kernel.name)] = sums.get(family(kernel.name), 0.0) + kernel.seconds
    total = sum(sums.values())
    scale = min(profile.busy_s, profile.step_s) / total if profile.busy_s and total > 0 else 0.0
    return {title: scale * sums[title] for title in sorted(sums, key=sums.get, reverse=True)}


def idle_s(profile: Profile) -> float | None:
    """step_s − busy_s, not below 0: seconds a step in which the device waits for the host."""
    return None if profile.busy_s is None else max(0.0, profile.step_s - profile.busy_s)


def parts(profile: Profile) -> dict[str, float]:
    """Part of a step → its seconds: the families, then the rest of the step."""
    idle = idle_s(profile)
    if idle is None:
        return {NOT_MEASURED: max(0.0, profile.step_s)}
    return {**families(profile), GPU_IDLE if profile.device == "cuda" else HOST: idle}


def bottleneck(profile: Profile) -> str:
    """What holds this phase back, in one line."""
    sums, idle_time = families(profile), idle_s(profile)
    if profile.step_s <= 0 or not sums or idle_time is None:
        return NOT_MEASURED
    idle = idle_time / profile.step_s
    largest = next(iter(sums))
    takes = f"{largest} take {percent(sums[largest] / profile.step_s)}"
    whole = "of each decode step" if profile.phase == "decode" else f"of the {profile.phase}"
    if profile.device == "cuda":
        if idle > HOST_BOUND_IDLE:
            return f"host-bound: the GPU idles {percent(idle)} {whole}"
        return f"GPU-bound: the GPU works {percent(1 - idle)} {whole}, {takes}"
    if idle > HOST_BOUND_IDLE:
        return f"host-bound: Python and the framework take {percent(idle)} {whole}, {takes}"
    return f"compute: {takes} {whole}, Python and the framework {percent(idle)}"
