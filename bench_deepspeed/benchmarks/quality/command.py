"""The quality check: reference, noise floor and engine, each in a worker process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench_deepspeed.benchmarks.common.run_folder import finish, make_folder, utc_now
from bench_deepspeed.core import paths, progress_bars
from bench_deepspeed.core.errors import MachineError, QualityError, UsageError
from bench_deepspeed.core.json_files import write_atomically, write_json
from bench_deepspeed.engines import engine_class
from bench_deepspeed.engines.base import Load
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.report.tables import table
from bench_deepspeed.weights import Prepared
from bench_deepspeed.weights.needed import can_check, want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import questions as question_files
from . import reference as references
from . import verdict
from .assess import Task, assess
from .records import Quality
from .reference import Reference
from .view import markdown, quality_rows

REFERENCE = "float32"


class Checker:
    """What a check needs at every step: places, settings, progress."""

    def __init__(self, scenario: Scenario, options, folder: Path, bars: progress_bars.Bars):
        self.scenario, self.folder, self.bars = scenario, folder, bars
        self.models_dir = options.models_dir
        self.reference_device = options.reference_device or scenario.device
        self.questions = question_files.load(options.questions)
        self.spec = catalog.load(scenario.model)
        self.facts: dict = {}
        """What the process of the engine last told of the machine."""

    def run(self, precisions: tuple[str, ...]) -> Quality:
        """Check the scenario's engine in each precision. Saved after each, so that a kill loses one at most."""
        ready = self._prepare("transformers", REFERENCE)
        reference = self._reference(ready)
        quality = self._open(ready, reference)
        with self._saved(quality):
            for precision in precisions:
                quality.candidates.append(self._candidate(precision, reference))
                quality.environment |= self.facts
                self._save(quality)
        return quality

    @contextlib.contextmanager
    def _saved(self, quality: Quality) -> Iterator[None]:
        """Give the check its status however the block ends."""
        try:
            yield
        finally:
            finish(quality, sys.exc_info()[1], self.folder)
            self._save(quality)

    def _prepare(self, engine: str, precision: str) -> Prepared:
        want = want_of(dataclasses.replace(self.scenario, engine=engine, precision=precision))
        assert want is not None  # `can_check` has looked
        with self._worker() as worker, self.bars.spinner("checking the weights"):
            return worker.call(tasks.prepare_weights, self.models_dir.absolute(), self.spec.name, want)

    def _reference(self, ready: Prepared) -> Reference:
        with self._worker() as worker, self.bars.spinner("float32 reference"):
            where = (self.reference_device, REFERENCE, worker.log_folder)
            settings = Load(ready.folder, *where, prompts=[], max_tokens=self.questions.max_tokens)
            return worker.call(references.prepare, settings, ready.digest, self.questions)

    def _candidate(self, precision: str, reference: Reference) -> dict:
        """One precision: the engine against float32, beside Transformers in the same precision."""
        name = self.scenario.engine
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".floor-") as kept:
            logits: Path | None = Path(kept).absolute()
            if (precision, self.reference_device) == (REFERENCE, self.scenario.device):
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
        folder, device = self._prepare(engine, precision).folder, self.scenario.device
        max_tokens = self.questions.max_tokens
        with self._worker() as worker, self.bars.spinner(f"{engine} in {precision}"):
            settings = Load(folder, device, precision, worker.log_folder, reference.longest_ids, max_tokens)
            worker.call(tasks.load, engine, settings)
            self.facts = worker.call(tasks.torch_facts, device)
            return worker.call(assess, Task(reference.folder, max_tokens, keep, beside))

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self.folder / "worker.log", self.bars.progress)

    def _open(self, ready: Prepared, reference: Reference) -> Quality:
        asked = zip(self.questions.prompts, reference.texts, self.questions.published, strict=True)
        return Quality(
            model={"name": self.spec.name, "title": self.spec.title, "digest": ready.digest, **ready.facts},
            engine=self.scenario.engine,
            device=self.scenario.device,
            reference_device=self.reference_device,
            environment=environment.host_facts(),
            system_prompt=self.questions.system_prompt,
            max_tokens=self.questions.max_tokens,
            questions=[
                {"prompt": prompt, "reference": text, "published": published.get(self.spec.name, {})}
                for prompt, text, published in asked
            ],
            started_at=utc_now(),
        )

    def _save(self, quality: Quality) -> None:
        try:
            self._write(quality)
        except OSError as error:
            raise MachineError(f"cannot write to {self.folder}: {error.strerror}") from error

    def _write(self, quality: Quality) -> None:
        write_json(self.folder / "quality.json", dataclasses.asdict(quality))
        write_atomically(self.folder / "quality.md", markdown(dataclasses.asdict(quality)))


def check(scenario: Scenario, options, folder: Path, precisions: tuple[str, ...]) -> None:
    """Check, print the verdicts, and write quality.json and quality.md into the folder.

    Raises QualityError where --fail_on_quality was given and a verdict is against the engine.
    """
    with progress_bars.Bars() as bars:
        quality = Checker(scenario, options, folder, bars).run(precisions)
    print(table(quality_rows(dataclasses.asdict(quality))))
    print(f"\nquality {paths.shown(folder / 'quality.md')}")
    if quality.outside and options.fail_on_quality:
        raise QualityError(f"{scenario.engine} is outside the noise floor in {', '.join(quality.outside)}")


def run(scenario: Scenario, options) -> int:
    """`bench.sh quality`: the check alone, in every precision of the engine unless one is named."""
    if not can_check(scenario):
        raise UsageError(
            "there is nothing to compare: random weights and the fake engine answer nothing; "
            "use --weights pretrained and a real engine"
        )
    question_files.load(options.questions)  # a malformed file is told before a folder is made
    folder = make_folder(options.output_dir / scenario.model)
    every = engine_class(scenario.engine).precisions[scenario.device]
    check(scenario, options, folder, (options.precision,) if options.precision else every)
    return 0
