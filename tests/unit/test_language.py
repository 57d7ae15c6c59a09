"""The language of documents, messages, comments and test names: words of the glossary's list of words to avoid."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

GLOSSARY = (ROOT / "docs" / "architecture.md").read_text()
(LIST,) = re.findall(r"^### Words to avoid\n.*?(?=^#)", GLOSSARY, re.M | re.S)
ROWS = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|$", LIST, re.M)
REPLACEMENTS = {word: better for words, better in ROWS for word in re.findall("`([^`]+)`", words)}
"""Word or phrase to avoid → what to write instead, from docs/architecture.md."""
AVOIDED = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, REPLACEMENTS))})(?![\w-])", re.I)
FOLDERS = ("docs", "bench_deepspeed", "tests")
SUFFIXES = {".md", ".py", ".sh", ".j2", ".html", ".js", ".css", ".txt"}
COMMENT = re.compile(r"(?:^|\s)#\s(.*)$")


def written() -> list[Path]:
    """The files that people read."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in SUFFIXES]
    files = [file for file in files if file != Path(__file__)]  # which has them
    return [*sorted(files), *(ROOT / name for name in ("README.md", "setup.sh", "requirements.txt", "pyproject.toml"))]


def prose(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """(line, text) of what is written for people: of Python the strings, the comments and the names of tests."""
    if suffix != ".py":
        yield from enumerate(text.replace(LIST, "\n" * LIST.count("\n")).splitlines(), 1)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name.replace("_", " ")
    for number, line in enumerate(text.splitlines(), 1):
        yield from ((number, comment) for comment in COMMENT.findall(line))


def avoidable(text: str, suffix: str) -> list[str]:
    """What to replace, a line each."""
    found = [(line, match) for line, words in prose(text, suffix) for match in AVOIDED.findall(" ".join(words.split()))]
    return [f"line {line}: {word!r}: write {REPLACEMENTS[word.lower()]}" for line, word in sorted(set(found))]


@pytest.mark.parametrize(
    ("text", "suffix", "count"),
    [
        ("The rate that can be borne.", ".md", 1),
        ("def test_the_user_is_told():\n    told = 1\n", ".py", 1),
        ('x = f"{told} is Beside"  # mended\n', ".py", 2),
        ("Recommend `--beside` and amended text.", ".md", 0),
    ],
)
def test_a_word_to_avoid_is_found_where_people_read_it(text, suffix, count):
    assert len(avoidable(text, suffix)) == count


def test_words_to_avoid_are_not_written():
    found = {}
    for file in written():
        if wrong := avoidable(file.read_text(encoding="utf-8"), file.suffix):
            found[file.relative_to(ROOT).as_posix()] = wrong
    assert not found, "\n".join(f"{file}, {line}" for file, lines in found.items() for line in lines)
