"""Prepares weights in a process of its own, which can be killed while it fetches.

The argument is a JSON object: the model's `name`, `source` and `shape`, `models_dir` and `want`. Each line on stdout is
a report of its progress: its label, what is done, and of how much.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench_deepspeed import weights
from bench_deepspeed.model import catalog


def main(models_dir: str, want: dict, **model) -> None:
    spec = catalog.ModelSpec(title="Tiny", licence="none", **model)
    weights.prepare(Path(models_dir), spec, weights.Want(**want), lambda *report: print(json.dumps(report), flush=True))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
