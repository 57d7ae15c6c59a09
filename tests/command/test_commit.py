"""The commit that a result names: that of the suite's own repository, or none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench_deepspeed.core import own_environment
from bench_deepspeed.machine import environment


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A repository with one commit of one file; it stands for the checkout."""
    folder = tmp_path / "with spaces and é"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("one")
    git(folder, "add", "file")
    git(folder, "commit", "-qm", "one")
    monkeypatch.setattr(environment, "ROOT", folder)
    monkeypatch.delenv("BENCH_COMMIT", raising=False)
    return folder


def test_it_is_that_of_the_checkout_and_says_where_files_differ(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert environment.host_facts().commit == commit
    (repository / "new").write_text("not tracked")
    assert environment.host_facts().commit == commit
    (repository / "file").write_text("two")
    assert environment.host_facts().commit == commit + "+changes"


def test_a_suite_unpacked_in_another_repository_has_none(repository, monkeypatch):
    unpacked = repository / "suite"
    unpacked.mkdir()
    monkeypatch.setattr(environment, "ROOT", unpacked)
    assert environment.host_facts().commit is None


def test_variables_that_name_another_repository_change_nothing(repository, monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    own_environment.clean()
    assert environment.host_facts().commit == git(repository, "rev-parse", "HEAD")


def test_a_checkout_that_another_user_owns_has_its_commit(repository):
    if os.getuid():
        pytest.skip("only root can give files away")
    commit = git(repository, "rev-parse", "HEAD")
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 12345, 12345)
    assert environment.host_facts().commit == commit


def test_a_name_of_bytes_that_are_no_text_can_be_saved(repository, monkeypatch):
    monkeypatch.setenv("BENCH_COMMIT", "v1-\udcff")
    assert environment.host_facts().commit == "v1-?"
