"""What the system lacks or forbids is one line with a remedy and exit code 3, wherever it is met; a defect is none."""

from __future__ import annotations

import errno
import json
import os

import pytest
from builders import result

from bench_deepspeed.__main__ import run
from bench_deepspeed.benchmarks.common.run_folder import status_of
from bench_deepspeed.cli import dispatch
from bench_deepspeed.core import json_files
from bench_deepspeed.core.errors import REMEDIES, BenchError, MachineError, UsageError, as_bench_error
from bench_deepspeed.measure.records import Result
from bench_deepspeed.worker.server import _failure

LACKS = {
    "open files": (OSError(errno.EMFILE, "Too many open files", "x"), "x: Too many open files: raise .*ulimit -n"),
    "a thread": (RuntimeError("can't start new thread"), "starts no further thread: raise .*ulimit -u.*less at once"),
    "memory": (MemoryError(), "not enough memory: .*ulimit -v"),
    "memory for a library": (ImportError("a.so: failed to map segment from shared object"), "not enough memory"),
    "a compiled file": (EOFError("marshal data too short"), "is cut, as a full disk leaves it: delete .*__pycache__"),
    "the disk": (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: make room"),
}


@pytest.mark.parametrize("what", LACKS)
def test_a_lack_is_named_with_its_remedy(what, monkeypatch, capsys):
    error, words = LACKS[what]

    def lacking(*_):
        raise error

    monkeypatch.setattr(dispatch, "run", lacking)
    assert run([]) == 3
    with pytest.raises(MachineError, match=words):
        raise as_bench_error(error)
    assert capsys.readouterr().err == f"bench.sh: error: {as_bench_error(error)}\n"
    assert status_of(error) == ("failed", str(as_bench_error(error)))
    assert _failure(error).type == "MachineError"


def test_a_lack_is_found_behind_another_exception():
    error = ImportError("you should not try to import numpy from its source directory")
    error.__cause__ = ImportError("libopenblas.so: failed to map segment from shared object")
    assert "not enough memory" in str(as_bench_error(error))


@pytest.mark.parametrize("number", REMEDIES)
def test_each_number_of_the_system_has_a_remedy(number):
    assert str(as_bench_error(OSError(number, os.strerror(number)))).endswith(REMEDIES[number])


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), FileNotFoundError(errno.ENOENT, "x")])
def test_a_defect_keeps_its_traceback(error, monkeypatch):
    assert as_bench_error(error) is None

    def defect(*_):
        raise error

    monkeypatch.setattr(dispatch, "run", defect)
    with pytest.raises(type(error)):
        run([])


def test_what_a_user_can_act_on_already_is_itself():
    error = UsageError("no")
    assert as_bench_error(error) is error


def test_of_a_million_wrong_elements_the_first_is_described(tmp_path, monkeypatch):
    """Each would be a dictionary, with what it holds: a gigabyte of a file of 3 MB."""
    from pydantic_core import ValidationError

    validate, counts = json_files._validator(Result).validate_python, []

    class Counting:
        def validate_python(self, data: object) -> object:
            try:
                return validate(data)
            except ValidationError as error:
                counts.append(error.error_count())
                raise

    monkeypatch.setattr(json_files, "_validator", lambda _cls: Counting())
    path = tmp_path / "result.json"
    result().save(path)
    saved = json.loads(path.read_text())
    saved["runs"][0]["samples"] = ["x"] * 1000
    path.write_text(json.dumps(saved))
    with pytest.raises(BenchError, match=r"runs\.0\.samples\.0: "):
        Result.load(path)
    assert counts == [1]
