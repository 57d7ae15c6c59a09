"""The columns of CSV and JSON lines, in their order: name → meaning. docs/reference/reports.md is rendered from here.

A column of one name means the same in every kind of file. Units are in the names: `_s` seconds, `_bytes`,
`_j` joules, `_w` watts; `_per_s` a second. What was not measured is empty in CSV and null in JSON.
"""

from __future__ import annotations

from bench_deepspeed.core.text import RANKS
from bench_deepspeed.measure.records import Sample

IDENTITY = {
    "file": "the file: its path from the current folder or in the checkout, else its name",
    "kind": "the kind of the file",
    "status": "of the measurement: `complete`, `failed` or `interrupted`",
    "started_at": "when it began, UTC",
    "model": "name of the model",
    "weights": "`pretrained`, or `random`: the speed of the model's shape only",
    "engine": "what generated",
    "tensor_parallel": RANKS,
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
    "valid": "whether statistics use it",
    "sm_clock_mhz": "the GPU's clock right after it",
    "temperature_c": "the GPU's temperature right after it",
    "other_cpus_busy": "CPUs that other processes kept busy meanwhile",
    "host_before_s": "time of a fixed loop of Python right before it",
    "host_after_s": "time of that loop right after it",
}


def sample_row(sample: Sample, place: tuple[str, int, int], valid: bool, batch_size: int = 1) -> dict[str, object]:
    """The columns of one timed generation; `place` is its phase, group and index."""
    phase, group, index = place
    reading, (before, after) = sample.reading, sample.host_s or (None, None)
    return {
        "phase": phase,
        "group": group,
        "index": index,
        "batch_size": batch_size,
        "prompt_tokens": sample.prompt_tokens,
        "new_tokens": sample.new_tokens,
        "seconds": sample.seconds,
        "tokens_per_s": batch_size * sample.tokens_per_s,
        "valid": valid,
        "sm_clock_mhz": reading and reading.sm_clock_mhz,
        "temperature_c": reading and reading.temperature_c,
        "other_cpus_busy": reading and reading.other_cpus_busy,
        "host_before_s": before,
        "host_after_s": after,
    }
