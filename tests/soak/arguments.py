"""Argument lists: flags of the commands with values that fit, that nearly fit, and that nobody would give."""

from __future__ import annotations

import argparse
import os
import string
from pathlib import Path

from hypothesis import strategies as st

from bench_deepspeed.cli.commands import COMMANDS

FILES = ("result.json", "sweep.json", "load.json", "ab.json", "quality.json", "prompts.txt", "trace.jsonl")
PLACES = (*FILES, "flags.toml", "missing", "fifo", "out", "a b", "ä", "-dash", "x" * 300, "\udcff", "", ".")
PLACES += ("/dev/null", "/dev/zero", "/dev/full")
HOSTILE = ("", " ", "\n", "\udcff", "-", "--", "-1", "0", "1e400", "nan", "inf", "9" * 400, "٣", "½", "%", "%s")
HOSTILE += ("{0}", "$(id)", "`id`", "\x1b[31m", "\u202e", "<b>", "|", "../..", "x" * 10_000, "[" * 5_000)
HOSTILE += ("1-9999999*2", "1,,2")
NUMBERS = ("1", "2", "7", "1,2", "1-4+1", "0.5", "1.5", "5%", "30%", "1000000000", "2026-01-31", "30d", "8080")
SIDES = ("engine=fake", "engine=fake precision=float32", "engine=mii", "env.A=1", "env.HF_TOKEN=hf_secret12345")
SIDES += ("x", "'")
LETTERS = st.characters(codec="utf-8", exclude_characters="/\0")
"""No case names a file elsewhere, and no argument of a process holds a NUL."""
PRINTABLE = st.text(string.printable.replace("/", ""), max_size=8)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(LETTERS, max_size=12), PRINTABLE)


def _values(action: argparse.Action) -> st.SearchStrategy[str]:
    """Values of one flag: most of them such as it takes."""
    if action.choices:
        fitting = st.sampled_from(list(map(str, action.choices)))
    elif action.dest in ("a", "b"):
        fitting = st.sampled_from(SIDES)
    else:
        fitting = st.sampled_from(PLACES if action.type is Path else NUMBERS)
    return st.one_of(*[fitting] * 8, TEXTS)


def _words(action: argparse.Action) -> st.SearchStrategy[list[str]]:
    """One flag with its value, in one word or two."""
    name = st.sampled_from(action.option_strings)
    if action.nargs == 0:
        return name.map(lambda flag: [flag])
    parts = st.tuples(name, _values(action), st.booleans())
    return parts.map(lambda p: [f"{p[0]}={p[1]}"] if p[2] and p[0].startswith("--") else [p[0], p[1]])


def _lists(name: str) -> st.SearchStrategy[list[str]]:
    """Lists for one command: its flags, words, and now and then what belongs to none."""
    parser = COMMANDS[name].make_parser()
    flags = [_words(action) for action in parser._actions if action.option_strings and action.dest != "help"]
    needed = [_words(action) for action in parser._actions if action.option_strings and action.required]
    words = st.sampled_from(("prune", "show", "bash", *PLACES)).map(lambda word: [word])
    some = st.lists(st.one_of(*flags, *flags, words, TEXTS.map(lambda text: [text])), max_size=6)
    device = st.sampled_from(([], ["-d", "cpu"], ["--dry_run"])) if COMMANDS[name].measures else st.just([])
    return st.tuples(*needed, device, some).map(
        lambda parts: [name, *(word for part in parts[:-1] for word in part), *(w for part in parts[-1] for w in part)]
    )


def lists() -> st.SearchStrategy[list[str]]:
    """Argument lists of any command; one in some is of words alone."""
    return st.one_of(*map(_lists, COMMANDS), st.lists(TEXTS, max_size=4))


def populate(folder: Path) -> None:
    """Files that the flags name."""
    from builders import folder_of_every_kind

    folder_of_every_kind(folder)
    (folder / "prompts.txt").write_text("one\ntwo\n")
    (folder / "trace.jsonl").write_text('{"arrival_s": 0, "prompt_tokens": 1, "output_tokens": 1}\n' * 2)
    (folder / "flags.toml").write_text('engine = "fake"\n[run]\nrepetitions = 2\n')
    (folder / "-dash").write_text("x")
    os.mkfifo(folder / "fifo")
