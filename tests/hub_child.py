"""Prepares weights in a process of its own, because huggingface_hub reads HF_ENDPOINT when it is imported.

The argument is a JSON object: the model's `name`, `source` and `shape`, `models_dir`, `want`, `free_bytes`
where the disk shall seem to have that much free, `verify` (false: the fetched tensors are not compared with the
model's, for which Transformers is imported), `times` that it prepares, and `stall_s` where a transfer shall count as
stalled after other seconds than usual. Each line on stdout is a JSON object too: `progress`, or a `result` or `error`
for each time. Anything but a BenchError ends in a traceback.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

from bench_deepspeed import weights
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.engines import checkpoint
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import transfer


def say(**message) -> None:
    print(json.dumps(message), flush=True)


def main(request: dict) -> None:
    spec = catalog.ModelSpec(
        name=request["name"], title="Tiny", licence="none", source=request["source"], shape=request["shape"]
    )
    if request["free_bytes"] is not None:
        shutil.disk_usage = lambda _: SimpleNamespace(free=request["free_bytes"])
    if not request["verify"]:
        checkpoint.verify = lambda _: None
    if request["stall_s"] is not None:
        transfer.STALL_S = request["stall_s"]
    for _ in range(request["times"]):
        try:
            prepared = weights.prepare(
                Path(request["models_dir"]),
                spec,
                weights.Want(**request["want"]),
                lambda label, done, total: say(progress=[label, done, total]),
            )
        except BenchError as error:
            say(error={"type": type(error).__name__, "message": str(error)})
        else:
            say(result={"folder": str(prepared.folder), "digest": prepared.digest, "facts": prepared.facts})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
