"""What holds it back, in words, as a table and as a picture."""

from __future__ import annotations

import re

from tabulate import tabulate

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure.records import Profile, Share

HOST_BOUND_IDLE = 0.20
"""Idle for more than this share of a step: host-bound. A host that cost nothing would then make the step
1 ∕ (1 − 0.20) = 1.25 times as fast; less is of the order by which the speed differs between processes."""

FAMILIES = {  # the first whose pattern is found in the name, whatever its case; else "other"
    # inductor names a kernel after all that it fused, of whatever family
    "fused": r"^triton_(poi|red|per|for)_|CompiledFxGraph",
    # Flash attention is built of CUTLASS, so attention stands before the matrix products.
    "attention": r"flash|fmha|attention|sdpa|kv_rotary|kv_copy",
    "norm": r"(rms|layer)_?norm|fused(_residual)?_ln",
    "matrix products": r"gemm|gemv|cutlass|cublas|nvjet|split_?k_?reduc|aten::(addmm|mm|bmm|baddbmm|linear|matmul)$",
    "sampling": r"sort|top_?k|argmax|softmax|cumsum|scan|reverse_indices|distribution|multinomial",
    "copies": r"copy|memcpy|memset|catarray|fill|embed|gather|scatter|index_?select|aten::(cat|index|clone)$",
    "elementwise": r"elementwise|activation|reduce_kernel|aten::(add|sub|mul|div|neg|pow|rsqrt|silu|gelu|mean|sum)_?$",
}
OTHER = "other"
COLOURS = {  # each readable under white figures, and told from white and from black behind it
    "matrix products": "#2563c9",
    "attention": "#b4460f",
    "norm": "#0b7a60",
    "sampling": "#7c46c4",
    "copies": "#8a6508",
    "elementwise": "#b23672",
    "fused": "#0e7490",
    OTHER: "#64707d",
}
INK = "#7b8490"  # as far from white as from a dark page
LABELLED = 0.05  # a part of the bar that is narrower than this share has no room for its figure
ROWS = 10
NAME_WIDTH = 90


def family(name: str) -> str:
    """The family of a kernel or an operator, by its name."""
    return next((title for title, pattern in FAMILIES.items() if re.search(pattern, name, re.IGNORECASE)), OTHER)


def families(profile: Profile) -> dict[str, float]:
    """Seconds a step of each family, the largest first; together `busy_s`.

    Kernels that ran at the same time are each counted whole in `kernels`, so all are scaled down alike.
    """
    sums: dict[str, float] = {}
    for kernel in profile.kernels:
        sums[family(kernel.name)] = sums.get(family(kernel.name), 0.0) + kernel.seconds
    total = sum(sums.values())
    scale = profile.busy_s / total if profile.busy_s and total > 0 else 0.0
    return {title: scale * sums[title] for title in sorted(sums, key=sums.get, reverse=True)}


def idle_s(profile: Profile) -> float | None:
    """step_s − busy_s, not below 0: seconds a step in which the device waits for the host."""
    return None if profile.busy_s is None else max(0.0, profile.step_s - profile.busy_s)


def state(profile: Profile) -> str:
    """What holds this phase back, in one line."""
    parts = families(profile)
    if profile.step_s <= 0 or not parts:
        return NOT_MEASURED
    idle = idle_s(profile) / profile.step_s
    largest = next(iter(parts))
    takes = f"{largest} take {_percent(parts[largest] / profile.step_s)}"
    of_it = "of each decode step" if profile.phase == "decode" else f"of the {profile.phase}"
    if profile.device == "cuda":
        if idle > HOST_BOUND_IDLE:
            return f"host-bound: the GPU idles {_percent(idle)} {of_it}"
        return f"GPU-bound: the GPU works {_percent(1 - idle)} {of_it}, {takes}"
    if idle > HOST_BOUND_IDLE:
        return f"host-bound: Python and the framework take {_percent(idle)} {of_it}, {takes}"
    return f"compute: {takes} {of_it}, Python and the framework {_percent(idle)}"


def text(profiles: list[Profile]) -> str:
    """All of it to read: each phase's state, its families, its largest kernels and host functions."""
    return "\n".join(_section(profile) for profile in profiles)


def _section(profile: Profile) -> str:
    kernels = "kernel" if profile.device == "cuda" else "operator"
    parts = [
        {"part of the step": title, "ms": _ms(seconds), "share": _share(seconds, profile)}
        for title, seconds in step_parts(profile).items()
    ]
    tables = [
        parts,
        _rows(f"largest {kernels}s", profile.kernels),
        _rows("largest host functions (own time, with cProfile's)", profile.host_functions),
    ]
    shown = [tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True) for rows in tables if rows]
    return "\n\n".join([f"{_headline(profile)}\n{state(profile)}", *shown]) + "\n"


def _headline(profile: Profile) -> str:
    if profile.phase == "decode":
        many = f"mean of {profile.steps} after {profile.prompt_tokens} prompt tokens"
        return f"decode: {_rounded_ms(profile.step_s)} a step ({many})"
    return f"{profile.phase}: {_rounded_ms(profile.step_s)} for {profile.prompt_tokens} prompt tokens and one new one"


def step_parts(profile: Profile) -> dict[str, float]:
    """What the bar is made of: the families, then the rest of the step."""
    if profile.busy_s is None:
        return {NOT_MEASURED: max(0.0, profile.step_s)}
    rest = "GPU idle (waits for the host)" if profile.device == "cuda" else "Python and the framework"
    return {**families(profile), rest: idle_s(profile)}


def _rows(title: str, shares: list[Share]) -> list[dict[str, str]]:
    return [
        {
            title: share.name if len(share.name) <= NAME_WIDTH else f"{share.name[: NAME_WIDTH - 1]}…",
            "ms a step": _ms(share.seconds),
            "calls a step": f"{share.calls:.4g}",
        }
        for share in shares[:ROWS]
    ]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}"


def _rounded_ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms" if seconds < 0.01 else f"{1e3 * seconds:.1f} ms"


def _share(seconds: float, profile: Profile) -> str:
    return _percent(seconds / profile.step_s) if profile.step_s > 0 else NOT_MEASURED


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"
