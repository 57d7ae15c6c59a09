"""`bench.sh compare`: the interval of a ratio, what is refused, what is said, and the exit codes."""

from __future__ import annotations

import json
import subprocess

from support import LIBRARIES, ROOT, STATISTICS, documented, imported_by

from bench_deepspeed.benchmarks.run.metrics import METRICS
from bench_deepspeed.measure.ratio import speed_ratio
from bench_deepspeed.measure.records import Result

GUIDE = ROOT / "docs" / "guide" / "compare.md"
EXAMPLE = ("docs/results/mistral-mii-float16-h200.json", "docs/results/mistral-transformers-float16-h200.json")


def test_the_example_of_the_guide(bench):
    assert f"./bench_deepspeed/bench.sh compare {' '.join(EXAMPLE)}" in GUIDE.read_text().replace(" \\\n  ", " ")
    done = bench("compare", *EXAMPLE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in table_lines(done)}
    first, other = (Result.load(ROOT / path) for path in EXAMPLE)
    assert rows["engine"] == ["mii", "transformers"]
    assert "precision" not in rows  # the same in both
    ratio = speed_ratio(first, other).value
    assert f"  b ∕ a  {ratio:.3f} [no interval]\n" in done.stdout  # in a list of its own: its row is too wide
    peak = next(metric for metric in METRICS if metric.title == "peak memory")
    assert rows["peak memory"] == [peak.cell(first), peak.cell(other), f"{peak.ratio(first, other):.3f}"]
    assert "no verdict" in done.stdout
    assert "`bench.sh ab`" in done.stdout
    assert "TTFT" in done.stdout.split("not measured in any: ")[1].splitlines()[0]


def table_lines(done: subprocess.CompletedProcess) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("| ")]


def test_json_is_all_of_it(bench):
    done = bench("compare", *EXAMPLE, "--json", cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    reported = json.loads(done.stdout)
    assert documented("Comparison") == list(reported)
    assert reported["files"] == dict(zip("ab", EXAMPLE, strict=True))
    assert reported["speeds"]["b"]["low"] is None


def test_help_needs_no_library(tmp_path):
    modules = imported_by("compare", "--help", cwd=tmp_path)
    assert {name.split(".")[0] for name in modules} & (LIBRARIES | STATISTICS | {"pydantic"}) == set()
