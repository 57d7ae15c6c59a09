"""Files that a user names for what is sent: each format by its name and by its content, and what is none of them."""

from __future__ import annotations

import os

import pytest

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.benchmarks.load import traces
from bench_deepspeed.core.errors import UsageError

TWO = ["What is the capital of France?", "Name three rivers."]
LINES = "".join(f'{{"id": {n}, "prompt": "{text}"}}\n' for n, text in enumerate(TWO))
CSV = "id,prompt\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TWO))
LIST = '[{"prompt": "What is the capital of France?"},\n "Name three rivers."]'
PROMPTS = {
    "text": ("a.txt", "\n".join(TWO)),
    "text without a suffix": ("a", "\r\n".join(["", *TWO, ""])),
    "text with a byte order mark": ("a.txt", "\ufeff" + "\n".join(TWO)),
    "JSON": ("a.JSON", LIST),
    "JSON by its content": ("a.txt", LIST),
    "JSON with a byte order mark": ("a.json", "\ufeff" + LIST),
    "JSON lines": ("a.jsonl", LINES),
    "JSON lines in upper case": ("a.JSONL", LINES),
    "JSON lines by their content": ("a.dat", LINES),
    "JSON lines named JSON": ("a.json", LINES),
    "JSON named JSON lines": ("a.jsonl", LIST),
    "CSV": ("a.csv", CSV),
    "CSV by its header": ("a.txt", CSV),
    "CSV with a byte order mark": ("a.csv", "\ufeff" + CSV),
}


@pytest.mark.parametrize(("name", "text"), PROMPTS.values(), ids=PROMPTS)
def test_prompts_are_the_same_in_every_format(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert questions.load(path).prompts == TWO


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_line_ends_with_a_newline_only(tmp_path, separator):
    path = tmp_path / "prompts.txt"
    path.write_text(f"first half{separator}second half\nanother\n")
    assert questions.load(path).prompts == [f"first half{separator}second half", "another"]


def test_a_prompt_may_begin_as_json_does(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("[INST] Hello [/INST]\n{name}, who are you?\nOne, two, three\n")
    assert questions.load(path).prompts == ["[INST] Hello [/INST]", "{name}, who are you?", "One, two, three"]


def test_a_csv_field_in_quotes_may_hold_lines(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text('prompt,id\n"one\ntwo",1\nthree\n')
    with pytest.raises(UsageError, match=r"line 4: as many fields as in the header are expected: prompt, id"):
        questions.load(path)
    path.write_text('prompt,id\n"one\ntwo",1\n')
    assert questions.load(path).prompts == ["one\ntwo"]


NO_PROMPTS = {
    "ShareGPT": (
        "a.json",
        '[{"id": "x",\n "conversations": []}]',
        "line 1: no prompt; it has id, conversations; prompts are",
    ),
    "no such column": ("a.csv", "id,text\n1,hello\n", "line 2: no prompt; it has id, text;"),
    "an empty prompt": ("a.jsonl", '{"prompt": "x"}\n{"prompt": " "}\n', "line 2: no prompt"),
    "a question that is a list": (
        "a.json",
        '{"questions": [\n["x"]]}',
        'line 2: question 1 must be an object with a "prompt" that is not empty',
    ),
    "a number": ("a.json", '["x",\n5]', "line 2: no prompt"),
    "a line that is cut": ("a.jsonl", '{"prompt": "x"}\n{"prompt": ', "line 2: not JSON"),
    "JSON that is cut": ("a.json", '[{"prompt": "x"}', "is damaged, or is not JSON"),
    "one value": ("a.json", "5", "a list is expected"),
    "nothing": ("a.txt", "\n \n", "has no prompt: write one a line"),
    "an empty list": ("a.json", "[]", "has no prompt"),
    "nested deep": ("a.json", "[" * 100_000, "is damaged, or is not JSON"),
    "nested deep in a line": ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
    "half a character": ("a.jsonl", r'{"prompt": "\ud800"}', "question 1 has half a character"),
    "binary": ("a.txt", b"\xff\xfea\x00", "is not UTF-8 text"),
    "NUL": ("a.txt", b"a\x00b", "line 1: it holds a NUL byte"),
}


@pytest.mark.parametrize(("name", "content", "words"), NO_PROMPTS.values(), ids=NO_PROMPTS)
def test_what_has_no_prompts_is_named_with_flag_file_and_reason(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as error:
        questions.load(path, "--prompts")
    message = str(error.value)
    assert message.startswith("--prompts")
    assert str(path) in message
    assert words in message
    assert len(message.replace(str(path), "")) < 300


def test_a_file_without_end_is_not_read(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    device = tmp_path / "device.txt"
    device.symlink_to("/dev/zero")
    for path in (fifo, device):
        with pytest.raises(UsageError, match=f"--questions: cannot read {path}: it is not a regular file"):
            questions.load(path)
        with pytest.raises(UsageError, match=f"--trace: cannot read {path}: it is not a regular file"):
            traces.read(path)


ARRIVALS = [(0.0, 10, 2), (0.5, 20, 3)]
TRACES = {
    "JSON lines": (
        "a.jsonl",
        "".join('{{"arrival_s": {}, "prompt_tokens": {}, "output_tokens": {}}}\n'.format(*a) for a in ARRIVALS),
    ),
    "CSV": ("a.csv", "arrival_s,prompt_tokens,output_tokens\n" + "".join("{},{},{}\n".format(*a) for a in ARRIVALS)),
    "times of a clock": (
        "a.csv",
        "prompt_tokens,arrival_s,output_tokens\n10,1700000000.0,2\n20,1700000000.5,3\n",
    ),
}


@pytest.mark.parametrize(("name", "text"), TRACES.values(), ids=TRACES)
def test_a_trace_begins_with_its_first_arrival(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert traces.read(path).rows == ARRIVALS


OTHER_TRACES = {
    "Mooncake": (
        '{"timestamp": 0, "input_length": 100}\n',
        "line 1: no trace of this suite (arrival_s, prompt_tokens, output_tokens), Mooncake (timestamp, input_length,",
    ),
    "Azure": (
        "TIMESTAMP,ContextTokens\n2023-11-16 18:15:46.68,374\n",
        "line 2: no trace of this suite",
    ),
    "a word": (
        "arrival_s,prompt_tokens,output_tokens\n0,1,1\n1,two,2\n",
        "line 3: prompt_tokens must be a whole number from 1 to 1,048,576",
    ),
    "a number without end": (
        f"arrival_s,prompt_tokens,output_tokens\n0,1,1\n{'9' * 400},2,2\n",
        "line 3: arrival_s must be a number, 0 or more",
    ),
    "half a token": (
        "arrival_s,prompt_tokens,output_tokens\n0,1.5,1\n",
        "line 2: prompt_tokens must be a whole number",
    ),
    "one moment": ("arrival_s,prompt_tokens,output_tokens\n7,1,1\n", "1 arrivals over no time"),
    "nan": ("arrival_s,prompt_tokens,output_tokens\nnan,1,1\n", "line 2: arrival_s must be a number"),
}


@pytest.mark.parametrize(("text", "words"), OTHER_TRACES.values(), ids=OTHER_TRACES)
def test_another_trace_is_refused_with_the_line(tmp_path, text, words):
    path = tmp_path / "trace.txt"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        traces.read(path)
    assert words in str(error.value)
