"""The files of one run: opened before anything is measured, rewritten as it goes, whole at any moment."""

from __future__ import annotations

import contextlib
import datetime
import sys
from pathlib import Path

from bench_deepspeed import signals
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.folder_lock import hold
from bench_deepspeed.measure.records import Result, Scenario

from .run_log import Log


class Keeper:
    """A context manager around a measurement: `result` is saved and given its status however the block ends.

    Raises MachineError when the log cannot be written.
    """

    def __init__(self, result, path: Path, log_path: Path):
        self.result, self.path, self.folder = result, path, path.parent
        try:
            self.log = _open_log(log_path)
        except MachineError:
            self.folder.rmdir()
            raise

    def save(self) -> None:
        """Rewrite the JSON. Raises MachineError, on a full disk for one."""
        try:
            self.result.save(self.path)
        except OSError as error:
            raise MachineError(f"cannot write {self.path}: {error.strerror}") from error

    def __enter__(self):
        self.save()
        return self

    def __exit__(self, error_type, error, _) -> None:
        text = finish(self.result, error, self.folder)
        self.save()
        with contextlib.closing(self.log):
            self.log.line(f"status {text}")
        tell_where(self.result, self.folder)


class Recorder(Keeper):
    """The files of one benchmark.

    Raises MachineError when the folder or the log cannot be written.
    """

    result: Result

    def __init__(self, scenario: Scenario, output_dir: Path, log_file: Path | None):
        folder = make_folder(output_dir / scenario.model)
        result = Result(scenario, started_at=utc_now())
        super().__init__(result, folder / "result.json", log_file or folder / "performance.log")


def utc_now() -> str:
    """The time, UTC, in ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def without_paths(text: str, folder: Path) -> str:
    """Results are published, and a path may hold a user's name."""
    return text.replace(f"{folder}/", "").replace(f"{Path.home()}/", "~/")


def finish(result, error: BaseException | None, folder: Path) -> str:
    """Give a result its status, and its error without paths. Returns both in words, with the paths, for the log."""
    result.status, text = status_of(error)
    result.error = text and without_paths(text, folder)
    return result.status + (f": {text}" if text else "")


def tell_where(result, folder: Path) -> None:
    """After Ctrl-C or a signal: say where what was measured is."""
    if result.status == "interrupted":
        print(f"what was measured is in {paths.shown(folder)}", file=sys.stderr)


def status_of(error: BaseException | None) -> tuple[str, str | None]:
    """A result's status and error, from the signal that came or the exception that ended it."""
    if signals.received() is not None:
        return "interrupted", None
    if error is None:
        return "complete", None
    return "failed", str(error) if isinstance(error, BenchError) else f"a defect of this suite: {error!r}"


def make_folder(parent: Path) -> Path:
    """Make and hold a folder named by the time, with a number behind it where two runs start in one second.

    Raises MachineError when nothing can be written there.
    """
    name = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(100):
            folder = parent / (f"{name}.{attempt}" if attempt else name)
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                hold(folder)
                return folder
    except OSError as error:
        raise MachineError(f"cannot write to {parent} ({error.strerror}): name another with --output_dir") from error
    raise MachineError(f"{parent} holds a hundred runs of this second")


def _open_log(path: Path) -> Log:
    try:
        return Log(path)
    except OSError as error:
        raise MachineError(f"cannot write the log {path} ({error.strerror}): name another with -lf") from error
