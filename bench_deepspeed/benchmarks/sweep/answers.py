"""The check of the answers at the end of a sweep: of each engine in each precision that was measured."""

from __future__ import annotations

from pathlib import Path

from bench_deepspeed.benchmarks.common.run_folder import RunFolder
from bench_deepspeed.benchmarks.quality.command import cell_checks
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.precision import NAMES
from bench_deepspeed.core.text import engine_title
from bench_deepspeed.measure.records import Scenario

from .records import CellQuality, SweepResult, SweepSettings, load_title

Key = tuple[str, str, int]
"""Engine, precision and ranks."""


def check(recorder: RunFolder[SweepResult], options) -> list[str]:
    """Fill the result's `quality`, saved after each check, whose files are in a folder next to the sweep's.

    What has been checked before is not checked again. A check that fails is noted, and the others go on. Returns the
    engines and precisions whose check failed.
    """
    result, unchecked = recorder.result, []
    with recorder.scratch() as scratch:
        check_cell = cell_checks(options, scratch)
        for key in _pending(result):
            title = load_title(*key)
            print(f"quality {title}", flush=True)
            try:
                scenario, folder = _scenario(result.settings, key), _folder(recorder, key)
                result.quality.append(_cell(key, *check_cell(scenario, folder)))
            except BenchError as error:
                unchecked.append(title)
                text = f"the answers of {engine_title(key[0], key[2])} in {key[1]} were not checked: {error}"
                recorder.write_log(text)
                progress_bars.note_once(text)
            recorder.save()
    return unchecked


def _pending(result: SweepResult) -> list[Key]:
    """What was measured and not checked, precision by precision: its baseline is then computed once."""
    done = {found.key for found in result.quality}
    measured = dict.fromkeys(scenario.key for scenario in result.scenarios if scenario.status == "complete")
    return sorted((key for key in measured if key not in done), key=lambda key: NAMES.index(key[1]))


def _folder(recorder: RunFolder[SweepResult], key: Key) -> Path:
    engine, precision, ranks = key
    folder = recorder.folder / "-".join(["quality", engine, precision, *([f"{ranks}-ranks"] if ranks > 1 else [])])
    folder.mkdir(exist_ok=True)
    return folder


def _cell(key: Key, row, digest: str) -> CellQuality:
    """What the sweep keeps of a row of `quality`, and the SHA-256 of its file."""
    engine, precision, ranks = key
    return CellQuality(
        engine,
        precision,
        row.verdict["ok"],
        row.verdict["words"],
        row.candidate["baseline"],
        row.engine.early.mean_kl,
        row.floor and row.floor.early.mean_kl,
        1.0 - row.engine.early.top1_disagreement,
        digest,
        ranks,
    )


def _scenario(settings: SweepSettings, key: Key) -> Scenario:
    """What a check asks of a scenario; nothing is timed."""
    engine, precision, ranks = key
    names = {"model": settings.model, "engine": engine, "device": settings.device, "precision": precision}
    timing = {"prompt": "", "max_tokens": 1, "processes": 1, "repetitions": 1, "warmups": 0}
    return Scenario(**names, **timing, weights=settings.weights, seed=settings.seed, tensor_parallel=ranks)
