"""The quality check: reference, noise floor and engine, each in a worker process of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.run_folder import RunFolder, utc_now
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import QualityError, UsageError
from bench_deepspeed.core.progress_bars import Bars
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.report import markdown, terminal
from bench_deepspeed.weights.needed import can_check, want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import questions as question_files
from . import reference as references
from . import verdict, view
from .assess import Task, assess
from .questions import QuestionSet
from .records import FILE, Quality
from .reference import Reference

REFERENCE = "float32"
TABLES = "quality.md"


class Checker:
    """What a check needs at every step: places, settings, progress. The recorder's result is filled."""

    def __init__(self, recorder: RunFolder[Quality], scenario: Scenario, options, asked: QuestionSet, bars: Bars):
        self.recorder, self.scenario, self.questions, self.bars = recorder, scenario, asked, bars
        self.quality = recorder.result
        self.models_dir = options.models_dir

    def run(self, precisions: tuple[str, ...]) -> None:
        """Check the scenario's engine in each precision. Saved after each, so that a kill loses one at most."""
        self.quality.environment = environment.host_facts()
        reference = self._reference(self._prepare("transformers", REFERENCE))
        asked = zip(self.questions.prompts, reference.texts, self.questions.published, strict=True)
        self.quality.questions = [
            {"prompt": prompt, "reference": text, "published": published.get(self.scenario.model, {})}
            for prompt, text, published in asked
        ]
        self.recorder.save()
        for precision in precisions:
            self.quality.candidates.append(self._candidate(precision, reference))
            self.recorder.save()

    def _prepare(self, engine: str, precision: str) -> Path | None:
        want = want_of(dataclasses.replace(self.scenario, engine=engine, precision=precision))
        places = {"models_dir": self.models_dir, "worker": self._worker, "bars": self.bars}
        return prepare(self.quality.model, self.scenario.model, want, **places)

    def _reference(self, folder: Path | None) -> Reference:
        with self._worker() as worker, self.bars.spinner("float32 reference"):
            where = (self.quality.reference_device, REFERENCE, worker.log_folder)
            settings = Load(folder, *where, prompts=[], max_tokens=self.questions.max_tokens)
            return worker.call(references.prepare, settings, self.quality.model["digest"], self.questions)

    def _candidate(self, precision: str, reference: Reference) -> dict:
        """One precision: the engine against float32, beside Transformers in the same precision."""
        name = self.scenario.engine
        with self.recorder.scratch() as kept:
            logits: Path | None = kept.absolute()
            if (precision, self.quality.reference_device) == (REFERENCE, self.scenario.device):
                floor, logits = None, None  # Transformers in float32 is the reference itself: distance zero
            else:
                floor = self._assess("transformers", precision, reference, keep=logits)
            if name == "transformers" and floor is not None:
                engine = floor
            else:
                engine = self._assess(name, precision, reference, beside=logits)
        candidate = {"precision": precision, "engine": engine, "floor": floor}
        return {**candidate, "verdict": verdict.verdict_of(candidate, engine_class(name).own_kernels)}

    def _assess(
        self, engine: str, precision: str, reference: Reference, keep: Path | None = None, beside: Path | None = None
    ) -> list[dict]:
        folder, device = self._prepare(engine, precision), self.scenario.device
        max_tokens = self.questions.max_tokens
        with self._worker() as worker, self.bars.spinner(f"{engine} in {precision}"):
            settings = Load(folder, device, precision, worker.log_folder, reference.longest_ids, max_tokens)
            worker.load(engine, settings)
            self.quality.environment |= worker.call(tasks.torch_facts, device)
            return worker.call(assess, Task(reference.folder, max_tokens, keep, beside))

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self.recorder.folder / "worker.log", self.bars.progress)


def _opened(scenario: Scenario, options, asked: QuestionSet) -> Quality:
    """A check that has not begun."""
    return Quality(
        model={"name": scenario.model, "title": catalog.load(scenario.model).title, "weights": scenario.weights},
        engine=scenario.engine,
        device=scenario.device,
        reference_device=options.reference_device or scenario.device,
        environment={},
        system_prompt=asked.system_prompt,
        max_tokens=asked.max_tokens,
        questions=[],
        started_at=utc_now(),
    )


def check(scenario: Scenario, options, place: Path, precisions: tuple[str, ...], *, new: bool) -> None:
    """Check, print the verdicts, and write quality.json and quality.md into a folder; `new` is `RunFolder`'s.

    Raises QualityError where --fail_on_quality was given and a verdict is against the engine.
    """
    asked = question_files.load(options.questions)  # a malformed file is named before a folder is made
    quality = _opened(scenario, options, asked)
    recorder = RunFolder(place, FILE, quality, new=new)
    try:
        with recorder, Bars() as bars:
            Checker(recorder, scenario, options, asked, bars).run(precisions)
    finally:
        if quality.questions:  # of a check that was cut off, what there is
            page = recorder.folder / TABLES
            recorder.write(TABLES, markdown.render(view.document(quality), page, lambda _figure: None) + "\n")
    print(terminal.render([view.numbers(quality)]))
    print(f"\nquality {paths.shown(recorder.folder / TABLES)}")
    if quality.outside and options.fail_on_quality:
        raise QualityError(f"{scenario.engine} is outside the noise floor in {', '.join(quality.outside)}")


def run(scenario: Scenario, options) -> int:
    """`bench.sh quality`: the check alone, in every precision of the engine unless one is named."""
    if not can_check(scenario):
        raise UsageError(
            "there is nothing to compare: random weights and the fake engine answer nothing; "
            "use --weights pretrained and a real engine"
        )
    every = engine_class(scenario.engine).precisions[scenario.device]
    precisions = (options.precision,) if options.precision else every
    check(scenario, options, options.output_dir / scenario.model, precisions, new=True)
    return 0
