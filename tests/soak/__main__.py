"""All campaigns, one after the other: `./tests/run.sh soak [--count N]`. Writes what it ran to `EVIDENCE`.

Each runs in a copy of the checkout, since argument lists and files may have a command write anywhere in it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_deepspeed.core.json_files import write_json
from bench_deepspeed.core.paths import RESULTS, ROOT
from bench_deepspeed.machine import environment
from bench_deepspeed.simulations import view

EVIDENCE = RESULTS / "simulations" / "soak.json"
COPIED = ("bench_deepspeed", "docs", "models", "tests", "README.md", "requirements.txt", "pyproject.toml", "setup.sh")
COUNTS = {"argument lists": 10_000, "changed files": 10_000, "kills": 200, "limits": 200, "hubs": 200}
"""Campaign → how many cases, unless --count says otherwise."""


def main() -> int:
    """Run the requested campaigns. Returns 1 where any case failed."""
    parser = argparse.ArgumentParser(prog="./tests/run.sh soak", description=__doc__)
    parser.add_argument("--only", choices=tuple(COUNTS), nargs="+", default=tuple(COUNTS), help="these campaigns alone")
    counts = ", ".join(f"{count} {name}" for name, count in COUNTS.items())
    parser.add_argument("--count", type=int, metavar="N", help=f"cases of each (default: {counts})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn (default: 0)")
    parser.add_argument("--check", action="store_true", help="write no evidence")
    options = parser.parse_args()
    failed = False
    for name in options.only:
        row = _row(name, options.count or COUNTS[name], options.seed)
        print(view.simulation_table({"rows": [row]}, "soak"), flush=True)
        for failure in row["failures"]:
            print(f"{name}: {failure['wrong']}: {failure['case']}", file=sys.stderr)
        if not options.check:
            _write(row)
        failed = failed or bool(row["failures"])
    return int(failed)


def _row(name: str, count: int, seed: int) -> dict:
    """Run one campaign in a copy of the checkout. Returns what it ran, with where and when."""
    facts = environment.host_facts().facts
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in COPIED:
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
        paths = [copy, copy / "tests", *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "HF_HOME": str(copy / "hub")}
        command = [sys.executable, "-m", "soak.campaign", name, str(count), str(seed)]
        started = time.monotonic()
        done = subprocess.run(command, env=env, cwd=copy, check=True, stdout=subprocess.PIPE, text=True)
    return {
        "campaign": name,
        "seed": seed,
        "ended_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started),
        "environment": {key: facts[key] for key in ("commit", "source", "python", "system", "cpu_count")},
        **json.loads(done.stdout.splitlines()[-1]),
    }


def _write(row: dict) -> None:
    """Replace the row of this campaign in the evidence, and keep those of the others."""
    before = json.loads(EVIDENCE.read_text())["rows"] if EVIDENCE.exists() else []
    known = {one["campaign"]: one for one in [*before, row]}
    write_json(EVIDENCE, {"rows": [known[name] for name in COUNTS if name in known]})


if __name__ == "__main__":
    sys.exit(main())
