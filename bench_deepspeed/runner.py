"""One benchmark from beginning to end: output opened, weights ready, engine loaded, measured, saved."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterator
from pathlib import Path

from . import catalog, environment
from .client import WorkerProcess
from .dry_run import want_of
from .errors import BenchError, MachineError, Terminated
from .reports import console
from .reports.log import Log
from .schema import Result, Run, Sample, Scenario


def run(scenario: Scenario, options) -> int:
    """Measure a scenario and print its table. Returns the exit code.

    What was measured is in result.json whatever happens: the file is rewritten after each repetition.
    """
    result = Result(scenario, started_at=_now().isoformat(timespec="seconds"))
    folder = _open_folder(options.output_dir / scenario.model)
    with _log(options.log_file or folder / "performance.log") as log, console.Bars() as bars:
        save = _saver(result, folder / "result.json")
        save()
        with _recorded(result, save, log):
            result.environment = environment.host_facts()
            log.opening(result)
            measure(result, options.models_dir, folder, bars, log, save)
            log.closing(result)
    print(console.table([result]))
    for warning in console.remarks(result):
        print(warning)
    print(f"\nresult  {_shown(folder / 'result.json')}\nlog     {_shown(log.path)}")
    if result.void_count:
        raise BenchError(
            f"{result.void_count} of {scenario.repetitions} repetitions are void: the engine did not make "
            f"{scenario.max_tokens} tokens"
        )
    return 0


def measure(result: Result, models_dir: Path, folder: Path, bars, log: Log, save) -> None:
    """Fill `result` in a worker process: weights, load, warm-ups, repetitions, memory."""
    scenario = result.scenario
    spec = catalog.load(scenario.model)
    model_folder = _prepare_weights(result, spec, models_dir, folder, bars)
    with WorkerProcess(folder / "worker.log", bars.progress) as worker, bars.spinner("loading the engine"):
        run = Run()
        result.runs.append(run)
        loaded = worker.call("load", engine=scenario.engine, load=_load(scenario, model_folder, folder))
        run.load_s, run.kernel_build_s = loaded["load_s"], loaded["kernel_build_s"]
        result.engine = {"name": scenario.engine, **loaded["describe"]}
        result.environment |= worker.call("environment", device=scenario.device)
        save()
        log.loaded(run)
        for sample in _generations(worker, scenario, scenario.warmups, "warming up", bars):
            run.warmups.append(sample)
            log.sample("warm-up", len(run.warmups), scenario.warmups, sample)
        for sample in _generations(worker, scenario, scenario.repetitions, "measuring", bars):
            run.samples.append(sample)
            save()
            log.sample("repetition", len(run.samples), scenario.repetitions, sample)
        with bars.spinner("measuring memory"):
            run.memory = worker.call("memory", prompt=scenario.prompt, max_tokens=scenario.max_tokens)


def _prepare_weights(result: Result, spec: catalog.ModelSpec, models_dir: Path, folder: Path, bars) -> str:
    """Have the weights made ready in a process of their own. Returns their folder, "" for no weights."""
    want = want_of(result.scenario)
    result.model = {"name": spec.name, "title": spec.title, "licence": spec.licence, "parameters": spec.parameters}
    if spec.note:
        result.model["note"] = spec.note
    if want is None:
        return ""
    with WorkerProcess(folder / "worker.log", bars.progress) as worker, bars.spinner("checking the weights"):
        ready = worker.call(
            "prepare", models_dir=str(models_dir.absolute()), model=spec.name, want=dataclasses.asdict(want)
        )
    result.model |= {"digest": ready["digest"], **ready["facts"]}
    return ready["folder"]


def _load(scenario: Scenario, model_folder: str, log_folder: Path) -> dict:
    return {
        "folder": model_folder,
        "device": scenario.device,
        "precision": scenario.precision,
        "log_folder": str(log_folder.absolute()),
        "prompt": scenario.prompt,
        "max_tokens": scenario.max_tokens,
    }


def _generations(worker: WorkerProcess, scenario: Scenario, count: int, label: str, bars) -> Iterator[Sample]:
    """Generate `count` times. The caller's work on each sample is done before the next one starts."""
    with bars.counter(label, count) as advance:
        for _ in range(count):
            sample = Sample(**worker.call("generate", prompt=scenario.prompt, max_tokens=scenario.max_tokens))
            advance(f"{sample.tokens_per_s:.1f} tokens/s")
            yield sample


@contextlib.contextmanager
def _recorded(result: Result, save, log: Log) -> Iterator[None]:
    """Give the result its status, however the block ends, and save it."""
    try:
        yield
        result.status = "complete"
    except BenchError as error:
        result.status, result.error = "failed", str(error)
        raise
    except (KeyboardInterrupt, Terminated):
        result.status = "interrupted"
        raise
    finally:
        if result.status == "running":
            result.status, result.error = "failed", "a defect of the suite: see the traceback"
        save()
        log.status(result)


def _saver(result: Result, path: Path):
    def save() -> None:
        try:
            result.save(path)
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}") from error

    return save


def _open_folder(parent: Path) -> Path:
    """Make DIR/<model>/<time>/, with a number behind the time where two runs start in one second."""
    stamp = _now().strftime("%Y-%m-%dT%H-%M-%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(100):
            folder = parent / (f"{stamp}.{attempt}" if attempt else stamp)
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise MachineError(f"cannot write to {parent} ({error.strerror}): name another with --output_dir") from error
    raise MachineError(f"{parent} holds a hundred runs of this second")


def _log(path: Path) -> Log:
    try:
        return Log(path)
    except OSError as error:
        raise MachineError(f"cannot write the log {path} ({error.strerror}): name another with -lf") from error


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
