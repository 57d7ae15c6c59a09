"""The measuring of a quality check: reference, noise floor and engine, each in a worker process of its own."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.benchmarks.common.prepare import prepare
from bench_deepspeed.benchmarks.common.questions import QuestionSet
from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.core.progress_bars import Bars
from bench_deepspeed.engines.base import Load
from bench_deepspeed.machine import environment
from bench_deepspeed.measure.records import Environment, Scenario
from bench_deepspeed.model import catalog
from bench_deepspeed.weights.needed import want_of
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

from . import reference as references
from . import verdict
from .assess import Task, assess
from .baseline import baseline_of, is_baseline
from .records import Quality
from .reference import Reference

REFERENCE = "float32"


@dataclass(frozen=True)
class Floor:
    """A baseline's answers in one precision, a dictionary a question; the folder of its logits; what it ran on."""

    answers: list[dict]
    logits: Path
    environment: Environment


@dataclass
class Shared:
    """What checks of several engines of one model have in common, each made once.

    `folder` is where the logits of the baselines go: those of one precision at a time. `several`: others are checked
    afterwards, so that an engine that may be their baseline is kept as one.
    """

    folder: Path
    several: bool = False
    reference: Reference | None = None
    floors: dict[tuple[str, str], Floor] = field(default_factory=dict)
    """(engine, precision) → what it answered as a baseline."""

    def keep_only(self, precision: str) -> None:
        """Forget the baselines in other precisions, whose logits take 100 MB and more."""
        for key in [key for key in self.floors if key[1] != precision]:
            shutil.rmtree(self.floors.pop(key).logits)


class Checker:
    """What a check needs at every step: places, settings, progress. The recorder's result is filled."""

    def __init__(
        self,
        recorder: RunFolder[Quality],
        scenario: Scenario,
        options,
        questions: QuestionSet,
        bars: Bars,
        *,
        shared: Shared,
    ):
        self.recorder, self.scenario, self.questions, self.bars = recorder, scenario, questions, bars
        self.quality, self.shared = recorder.result, shared
        self.models_dir, self.late_tokens = options.models_dir, options.late_tokens

    def run(self, precisions: tuple[str, ...]) -> None:
        """Check the scenario's engine in each precision. Saved after each, so that a kill loses one at most."""
        self.quality.environment = environment.host_facts()
        folder = self._prepare("transformers", REFERENCE, self.quality.reference_device)
        reference = self.shared.reference = self.shared.reference or self._reference(folder)
        rows = zip(self.questions.prompts, reference.texts, self.questions.published, strict=True)
        self.quality.questions = [
            {"prompt": prompt, "reference": text, "published": published.get(self.scenario.model, {})}
            for prompt, text, published in rows
        ]
        self.recorder.save()
        for precision in precisions:
            self.quality.candidates.append(self._candidate(precision, reference))
            self.recorder.save()

    def _prepare(self, engine: str, precision: str, device: str) -> Path | None:
        want = want_of(dataclasses.replace(self.scenario, engine=engine, precision=precision))
        places = {"models_dir": self.models_dir, "worker": self._worker, "bars": self.bars, "device": device}
        return prepare(self.quality.model, self.scenario.model, want, **places)

    def _reference(self, folder: Path | None) -> Reference:
        with self._worker() as worker, self.bars.spinner("float32 reference"):
            where = (self.quality.reference_device, REFERENCE, worker.log_folder)
            settings = Load(folder, *where, prompts=[], max_tokens=self.questions.max_tokens)
            digest = self.quality.model["digest"]
            return worker.call(references.prepare_reference, settings, digest, self.questions, self.late_tokens)

    def _candidate(self, precision: str, reference: Reference) -> dict:
        """One precision: the engine against float32, with another implementation of it as the floor."""
        name, device, ranks = self.scenario.engine, self.scenario.device, self.scenario.tensor_parallel
        baseline = baseline_of(catalog.load(self.scenario.model), name, device, precision)
        floor: Floor | None = None  # also where float32 is the reference itself, at distance zero
        if baseline is not None and (precision, self.quality.reference_device) != (REFERENCE, device):
            floor = self._floor(baseline, precision, reference)
        if name == baseline and floor is not None and ranks == 1:
            engine = floor.answers
        else:
            engine = self._engine(precision, reference, floor)
        answers = {"engine": engine, "floor": floor.answers if floor else None}
        candidate = {"precision": precision, "baseline": baseline, **answers}
        return {**candidate, "verdict": verdict.verdict_of(candidate, name, device, ranks)}

    def _engine(self, precision: str, reference: Reference, floor: Floor | None) -> list[dict]:
        """The answers of the engine that is checked, kept where they are the baseline of one that is checked later."""
        name, ranks = self.scenario.engine, self.scenario.tensor_parallel
        kept = floor.logits if floor else None
        serves = self.shared.several and ranks == 1 and kept and is_baseline(name, precision)
        own = self._logits(name, precision) if serves else None
        answers = self._assess(name, precision, reference, keep=own, floor=kept, ranks=ranks)
        if own is not None:
            self.shared.floors[name, precision] = Floor(answers, own, self.quality.environment)
        return answers

    def _logits(self, engine: str, precision: str) -> Path:
        """A folder for the logits of a baseline."""
        folder = (self.shared.folder / f"{engine}-{precision}").absolute()
        folder.mkdir(exist_ok=True)
        return folder

    def _floor(self, baseline: str, precision: str, reference: Reference) -> Floor:
        floors, key = self.shared.floors, (baseline, precision)
        self.shared.keep_only(precision)
        if key not in floors:
            logits = self._logits(baseline, precision)
            answers = self._assess(baseline, precision, reference, keep=logits)
            floors[key] = Floor(answers, logits, self.quality.environment)
        self.quality.environment = self.quality.environment.updated(floors[key].environment)
        return floors[key]

    def _assess(
        self,
        engine: str,
        precision: str,
        reference: Reference,
        *,
        keep: Path | None = None,
        floor: Path | None = None,
        ranks: int = 1,
    ) -> list[dict]:
        device = self.scenario.device
        folder = self._prepare(engine, precision, device)
        max_tokens = self.questions.max_tokens
        with self._worker() as worker, self.bars.spinner(f"{engine} in {precision}"):
            where = (device, precision, worker.log_folder)
            settings = Load(folder, *where, reference.longest_ids, max_tokens, tensor_parallel=ranks)
            worker.load(engine, settings)
            torch_facts = worker.call(tasks.torch_facts, device)
            self.quality.environment = self.quality.environment.updated(torch_facts)
            return worker.call(assess, Task(reference.folder, max_tokens, keep, floor, bool(self.late_tokens)))

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(self.recorder.folder / "worker.log", self.bars.progress)
