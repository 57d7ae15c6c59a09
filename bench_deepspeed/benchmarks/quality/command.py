"""`bench.sh quality`: check the answers, and print the verdicts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench_deepspeed.benchmarks.common import questions as question_files
from bench_deepspeed.benchmarks.common.evidence import close
from bench_deepspeed.benchmarks.common.questions import QuestionSet
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import QualityError
from bench_deepspeed.core.progress_bars import Bars
from bench_deepspeed.measure.records import Environment, Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.report import markdown, terminal
from bench_deepspeed.weights import store

from . import view
from .flags import precisions_of, require_questions
from .kind import KIND
from .measure import Checker, Shared
from .metrics import CandidateRow, rows
from .records import FILE, Quality

TABLES = "quality.md"


def _opened(scenario: Scenario, options, questions: QuestionSet) -> Quality:
    """A check that has not begun."""
    return Quality(
        model={"name": scenario.model, "title": catalog.load(scenario.model).title, "weights": scenario.weights},
        engine=scenario.engine,
        device=scenario.device,
        reference_device=options.reference_device or scenario.device,
        environment=Environment(),
        system_prompt=questions.system_prompt,
        max_tokens=questions.max_tokens,
        questions=[],
        started_at=utc_now(),
        late_tokens=options.late_tokens,
        tensor_parallel=scenario.tensor_parallel,
    )


def measure_quality(
    scenario: Scenario,
    options,
    place: Path,
    precisions: tuple[str, ...],
    *,
    new: bool,
    shared: Shared | None = None,
) -> tuple[Quality, Path]:
    """Check, and write quality.json and quality.md into a folder; `new` is `RunFolder`'s. Returns what was found.

    `shared` is what checks of other engines leave for this one; None: this is the only check.
    """
    questions = question_files.load(options.questions)  # a malformed file is named before a folder is made
    quality = _opened(scenario, options, questions)
    recorder = RunFolder(place, FILE, quality, new=new, close=partial(close, KIND))
    try:
        with recorder, Bars() as bars, recorder.scratch() as scratch:
            Checker(recorder, scenario, options, questions, bars, shared=shared or Shared(scratch)).run(precisions)
    finally:
        if quality.questions:  # of a check that was cut off, what there is
            page = recorder.folder / TABLES
            recorder.write(TABLES, markdown.render(view.document(quality), page, lambda _figure: None) + "\n")
    return quality, recorder.folder


def cell_checks(options, scratch: Path) -> Callable[[Scenario, Path], tuple[CandidateRow, str]]:
    """For a measurement of many engines and precisions: a function that checks one of them into a folder.

    It returns the check's row and the SHA-256 of its file. What one check leaves in `scratch` serves the next.
    """
    shared = Shared(scratch, several=True)

    def check(scenario: Scenario, place: Path) -> tuple[CandidateRow, str]:
        quality, _ = measure_quality(scenario, options, place, (scenario.precision,), new=False, shared=shared)
        (row,) = rows(quality)
        return row, store.sha256_of(place / FILE)

    return check


def check_quality(scenario: Scenario, options, place: Path, precisions: tuple[str, ...], *, new: bool) -> None:
    """Check as `measure_quality` does, and print the verdicts.

    Raises QualityError where --fail_on_quality was given and a verdict is against the engine.
    """
    quality, folder = measure_quality(scenario, options, place, precisions, new=new)
    print(terminal.render(view.verdicts(quality)))
    print(f"\nquality {paths.shown(folder / TABLES)}")
    if quality.outside and options.fail_on_quality:
        raise QualityError(f"{scenario.engine} is outside the noise floor in {', '.join(quality.outside)}")


def run(scenario: Scenario, options) -> int:
    """`bench.sh quality`: the check alone, in every precision of the engine unless one is named."""
    require_questions(scenario, options)
    precisions = precisions_of(scenario, options)
    check_quality(scenario, options, options.output_dir / scenario.model, precisions, new=True)
    return 0
