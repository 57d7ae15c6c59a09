"""`bench.sh selftest`: whether the suite's own times are right, and how much it adds to them."""

from __future__ import annotations

from functools import partial

from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.core import paths, progress_bars
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.report import terminal

from . import view
from .kind import KIND
from .measure import KNOWN_BUDGET_S, KNOWN_S, add_comparison, known_latency, real_engine
from .records import FILE, ClockComparison, SelfTest
from .verdict import ERROR, LIMIT


def run(scenario: Scenario, options) -> int:
    """`bench.sh selftest`. Returns 0; raises BenchError when a part does not pass.

    Interleaved, a real engine may be noisier than any budget resolves; then it is enough that it passes nested.
    """
    test = SelfTest(
        started_at=utc_now(),
        scenario={key: getattr(scenario, key) for key in ("model", "engine", "device", "precision", "weights")},
        prompt=scenario.prompt,
        max_tokens=scenario.max_tokens,
        limit=LIMIT,
        confidence=1 - ERROR,
    )
    recorder = RunFolder(options.output_dir / "selftest", FILE, test, close=partial(close, KIND))
    with recorder, progress_bars.Bars() as bars:
        test.environment = environment.host_facts()
        for seconds in KNOWN_S:
            budget_s = min(KNOWN_BUDGET_S, options.budget)
            add_comparison(recorder, known_latency(seconds, budget_s, scenario, recorder.folder, bars))
        real_engine(scenario, options, recorder, bars)
    print(terminal.render(view.view(test)))
    print(f"\nselftest {paths.shown(recorder.path)}")
    _require_pass(test.comparisons)
    return 0


def _require_pass(comparisons: list[ClockComparison]) -> None:
    failed = [comparison.name for comparison in comparisons if comparison.verdict == "fail"]
    if failed:
        raise BenchError(f"the suite's times differ from a bare loop's by more than {LIMIT:.1%}: {', '.join(failed)}")
    *decisive, interleaved = comparisons
    if interleaved.verdict != "pass":
        print(
            f"{interleaved.name}: within --budget the engine's own times differ too much to resolve {LIMIT:.1%}; "
            "nested, both clocks time the same generation"
        )
    unresolved = [comparison.name for comparison in decisive if comparison.verdict != "pass"]
    if unresolved:
        raise BenchError(
            f"inconclusive for {', '.join(unresolved)}: this machine was too noisy to resolve {LIMIT:.1%}; "
            "end other work on it, or give more time with --budget"
        )
