"""What is no result, in place of each file that a command reads: one line that says why, and exit code 2."""

from __future__ import annotations

import os

import pytest
from builders import DAMAGED, REASONS
from support import InProcess

READERS = {
    "report": ("report", "--format", "csv", "--output", "out", "result.json"),
    "compare": ("compare", "result.json"),
    "load --beside": ("load", "--target", "stub", "--output_dir", "out", "--beside"),
    "sweep --resume": ("sweep", "--output_dir", "out", "--resume"),
}
"""Command → how its command line begins; the file to be read comes next."""


@pytest.fixture
def read_by(files, tmp_path):
    """Run a command that reads `bad.json`; returns its error line."""
    return lambda command: InProcess(tmp_path).refusal(2, *READERS[command], "bad.json")


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_named_with_the_reason(read_by, tmp_path, command, damage):
    content = DAMAGED[damage]
    (tmp_path / "bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    error = read_by(command)
    assert f"bad.json {REASONS[damage]}" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", READERS)
def test_a_long_schema_version_is_cut(read_by, tmp_path, command):
    (tmp_path / "bad.json").write_text('{"kind": "load", "schema_version": "%s"}' % ("x" * 10_000))
    assert len(read_by(command)) < 300


@pytest.mark.parametrize("command", ["report", "compare", "load --beside"])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(read_by, tmp_path, command):
    path = tmp_path / "bad.json"
    assert "cannot read bad.json: No such file or directory" in read_by(command)
    path.symlink_to(path)
    assert "cannot read bad.json: Too many levels of symbolic links" in read_by(command)
    path.unlink()
    os.mkfifo(path)
    assert "cannot read bad.json: it is not a regular file" in read_by(command)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "cannot read bad.json: it is not a regular file" in read_by(command)
