"""The folder of one run: its file is written before anything is measured, and rewritten as the run proceeds; it is
complete JSON at any moment."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bench_deepspeed.core import paths, signals
from bench_deepspeed.core.errors import MachineError, UsageError, as_bench_error
from bench_deepspeed.core.folder_lock import hold
from bench_deepspeed.core.json_files import write_atomically
from bench_deepspeed.core.progress_bars import Bars

from .run_log import Log

SCRATCH = ".scratch-"
opened: list[Path] = []
"""The files of the results that this process has opened, in their order."""


class Saveable(Protocol):
    """The result of a command. Its status is "running", then "complete", "failed" or "interrupted"."""

    status: str
    error: str | None

    def save(self, path: Path) -> None:
        """Write it in one step. Raises OSError."""


SavedResult = TypeVar("SavedResult", bound=Saveable)


class RunFolder(Generic[SavedResult]):
    """A context manager around a measurement: `result` is saved and given its status however the block ends.

    `close` adds to the file, once it is saved for the last time, what a finished file says of itself.

    `place` is where a new folder is made and held; with `new=False`, it is the folder itself, which this process
    holds already. In it are `file`, the result, and `log`, where a log is wanted; an absolute path names a log
    elsewhere. `where` is the message that names the folder after Ctrl-C or a signal.

    A UsageError on the way leaves a file that was there before as it was.

    Entering it raises MachineError when the folder, the file or the log cannot be written; then no folder is left.
    """

    def __init__(
        self,
        place: Path,
        file: str,
        result: SavedResult,
        *,
        log: str | Path | None = None,
        new: bool = True,
        where: str = "what was measured is in {}",
        close: Callable[[Path], None] = lambda _path: None,
    ):
        self.result = result
        self.log: Log | None = None
        self._place, self._file, self._log_file, self._new, self._where = place, file, log, new, where
        self._close = close

    def __enter__(self):
        self.folder = make_folder(self._place) if self._new else self._place
        self.path = self.folder / self._file
        self._before = self.path.read_text(encoding="utf-8") if self.path.exists() else None
        self.result.status, self.result.error = "running", None
        with contextlib.ExitStack() as undo:
            if self._new:
                undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            if self._log_file is not None:
                self.log = undo.enter_context(contextlib.closing(_open_log(self.folder / self._log_file, self.folder)))
            self.save()
            undo.pop_all()
        opened.append(self.path)
        return self

    def __exit__(self, error_type, error, _) -> None:
        if self._before is not None and isinstance(error, UsageError) and signals.received() is None:
            self._restore(f"refused: {error}")
            return
        text = finish(self.result, error, self.folder)
        for left in self.folder.glob(f"{SCRATCH}*"):  # a second signal came while the first was being obeyed
            shutil.rmtree(left, ignore_errors=True)
        with contextlib.closing(self.log) if self.log else contextlib.nullcontext():
            self.save()
            with _writing(self.path):
                self._close(self.path)
            self.write_log(f"status {text}")
        if self.result.status == "interrupted":
            print(self._where.format(paths.shown(self.folder)), file=sys.stderr)

    def _restore(self, text: str) -> None:
        """Restore the earlier file: nothing was started."""
        with contextlib.closing(self.log) if self.log else contextlib.nullcontext():
            self.write(self._file, self._before)
            self.write_log(text)

    @property
    def log_path(self) -> Path:
        """Where the log is, of a folder that has one."""
        assert self.log is not None
        return self.log.path

    def save(self) -> None:
        """Rewrite the file of the result. Raises MachineError, on a full disk for one."""
        with _writing(self.path):
            self.result.save(self.path)

    def write(self, name: str, text: str) -> Path:
        """Write a further file in one step. Returns its path; raises MachineError."""
        path = self.folder / name
        with _writing(path):
            write_atomically(path, text)
        return path

    def write_log(self, *lines: str) -> None:
        """Write lines into the log, if there is one. Raises MachineError."""
        for line in lines if self.log else ():
            self.log.line(line)

    def note(self, text: str, bars: Bars) -> None:
        """Write a line into the log and show it above the bars. Raises MachineError."""
        self.write_log(text)
        bars.note(text)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the same disk, which is removed after the block. Raises MachineError."""
        with _writing(self.folder):
            scratch = tempfile.TemporaryDirectory(dir=self.folder, prefix=SCRATCH)
        with scratch as name:
            yield Path(name)


def utc_now() -> str:
    """The time, UTC, in ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def without_paths(text: str, folder: Path) -> str:
    """Results are published, and a path may hold a user's name."""
    return paths.without_home(text.replace(f"{folder}/", ""))


def finish(result: Saveable, error: BaseException | None, folder: Path) -> str:
    """Give a result its status, and its error without paths. Returns both in words, with the paths, for the log."""
    result.status, text = status_of(error)
    result.error = text and without_paths(text, folder)
    return result.status + (f": {text}" if text else "")


def status_of(error: BaseException | None) -> tuple[str, str | None]:
    """A result's status and error, from the signal that came or the exception that ended it."""
    if signals.received() is not None:
        return "interrupted", None
    if error is None:
        return "complete", None
    known = as_bench_error(error)
    return "failed", str(known) if known else f"a defect of this suite: {error!r}"


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
    raise MachineError(f"{parent} has a hundred runs that started in this second: wait a second")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}") from error


def _open_log(path: Path, folder: Path) -> Log:
    try:
        return Log(path)
    except OSError as error:
        hint = "" if path.parent == folder else ": name another with -lf"
        raise MachineError(f"cannot write the log {path} ({error.strerror}){hint}") from error
