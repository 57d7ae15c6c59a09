"""The command in a result: what a shell makes of it is what was given, but for secrets and folders of users."""

from __future__ import annotations

import shlex

import pytest

from bench_deepspeed.core import command_line
from bench_deepspeed.core.command_line import SCRIPT, published
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.core.secrets import HIDDEN


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "argv",
    [
        ["-d", "cpu", "-n", "smollm2", "--max_tokens", "512"],
        ["-p", 'it\'s a "quoted" $PROMPT `x` \\ !', "--seed=3"],
        ["-p", "/imagine a path", "--prompt=/as well"],
        ["ab", "--a", "engine=mii env.X='a  b'", "--b=engine=fake"],
        ["load", "--rates", "1,2-8*2", "--output_dir", "out dir/é"],
        ["-lf", "/dev/stderr", ""],
        ["-p", "two\nlines", "--target_ci", "1%"],
    ],
)
def test_a_shell_reads_what_was_given(argv):
    assert shlex.split(published(argv)) == [SCRIPT, *argv]


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("/scratch/alice/results", "…/results"),
        ("--output_dir=/scratch/alice/my results", "--output_dir='…/my results'"),
        ("/home/alice/my results", "~/'my results'"),
        ("--models_dir=/home/alice/models", "--models_dir ~/models"),
        ("-lf=/scratch/alice/x.log", "-lf='…/x.log'"),
        ("-lf/scratch/alice/x.log", "-lf'…/x.log'"),
        ("engine=mii env.HF_HOME=/scratch/alice/hf", "env.HF_HOME=…/hf"),
        ("https://u:abc@secret@host/x", "https://…@host/x"),
        (f"{ROOT}/docs", None),
        ("python=here/python", "python=here/python"),
        ("engine=mii python=/opt/alice/bin/python", "python=…/python"),
        ("engine=mii env.HF_TOKEN=abc env.OMP_NUM_THREADS=2", HIDDEN),
        ("--b=engine=mii env.MY_SECRET='a b'", HIDDEN),
        ("say hf_abcdefghij", HIDDEN),
        ("https://alice:secret@host/x", "https://…@host/x"),
    ],
)
def test_neither_secrets_nor_users_are_published(argument, shown):
    command = published(["x", argument])
    assert not any(word in command for word in ("alice", "abc", "secret@", "a b", "hf_abc", str(ROOT.parent)))
    assert shown is None or shown in command or shown.replace("'", "") in command


def test_a_folder_above_the_home_folder_shortens_no_path(monkeypatch):
    monkeypatch.chdir("/")
    assert "bob" not in published(["--output_dir", "/home/bob/results"])
    assert published(["/home/alice/results"]) == f"{SCRIPT} ~/results"


def test_what_is_below_the_current_folder_is_named_from_there(tmp_path):
    given = [tmp_path / "out", tmp_path / "a b", tmp_path / "x" / "y", f"engine=mii python={tmp_path / 'python'}"]
    shown = ["./out", "./a b", "x/y", "engine=mii python=./python"]
    assert shlex.split(published(list(map(str, given)))) == [SCRIPT, *shown]


def test_bytes_that_are_no_text_are_escaped():
    assert published(["-p", "\udcff"]).encode()


def test_what_was_kept_is_the_last_command():
    command_line.keep(["-r", "3"])
    command_line.keep(["-r", "4"])
    assert command_line.kept() == f"{SCRIPT} -r 4"
