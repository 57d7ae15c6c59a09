"""Calls as they cross the socket: values by a function's annotations, and functions by their names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench_deepspeed.benchmarks.common.questions import QuestionSet
from bench_deepspeed.benchmarks.quality.reference import Reference, prepare_reference
from bench_deepspeed.core.errors import BY_NAME, BenchError
from bench_deepspeed.engines.base import Load, Streamed
from bench_deepspeed.measure.records import Energy, Latency, Profile, Reading, Sample, Share
from bench_deepspeed.weights import Prepared, Want
from bench_deepspeed.worker import messages, tasks
from bench_deepspeed.worker.state import Worker, close

LOAD = Load(Path("/models/m"), "cuda", "float16", Path("logs"), ["a “b”", [1, 2]], 8, batches=((4, 32), (1, 9)))


@dataclass(frozen=True)
class Inner:
    path: Path | None
    numbers: tuple[int, float]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: list[Inner]
    by_name: dict[str, Inner | None]


OUTER = Outer(
    Inner(Path("a") / "b", (1, 0.1)), [Inner(None, (2, float("inf")))], {"x": None, "y": Inner(Path("/"), (0, 2.0))}
)


def echo(worker: Worker, value: Outer, *, more: list[Path] | None = None) -> Outer:
    return value


def sent(function, *args, **kwargs) -> dict:
    """The arguments as the worker's process has them."""
    line = json.dumps(messages.encode_arguments(function, args, kwargs))
    return messages.decode_arguments(function, json.loads(line))


def returned(function, result) -> object:
    """The result as the parent has it."""
    return messages.decode_result(function, json.loads(json.dumps(messages.encode_result(function, result))))


@pytest.mark.parametrize(
    ("function", "args", "names"),
    [
        (echo, (OUTER,), ["value"]),
        (tasks.load, ("fake", LOAD), ["engine", "settings"]),
        (
            tasks.prepare_weights,
            (Path("/x"), "m", Want("random", "mii", "float16", 3)),
            ["models_dir", "model", "want"],
        ),
        (prepare_reference, (LOAD, "0a", QuestionSet("s", 3, ["p"], [{}])), ["load", "digest", "questions"]),
    ],
    ids=["nested", "load", "weights", "reference"],
)
def test_arguments_cross_unchanged(function, args, names):
    assert sent(function, *args) == dict(zip(names, args, strict=True))


def test_named_arguments_cross_unchanged():
    assert sent(echo, OUTER, more=[Path("a")]) == {"value": OUTER, "more": [Path("a")]}


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (echo, OUTER),
        (close, None),
        (tasks.stream, Streamed([0.1, 1 / 3], [5, "a"])),
        (tasks.generate, Sample(1 / 3, 2, 8, Reading(temperature_c=40, throttle_reasons=["power"]))),
        (tasks.generate, Sample(1 / 3, 2, 8)),
        (tasks.measure_energy, Energy("NVML", 1.0, 2.0, 3)),
        (tasks.measure_energy, None),
        (tasks.measure_latency, Latency("streamed", [0.1], [0.2], [[0.1]])),
        (tasks.profile, [Profile("decode", "cpu", 1, 2, 0.1, None, [Share("mm", 0.1, 1.0)], [])]),
        (tasks.prepare_weights, Prepared(Path("/x"), "0a", {"source": {"repo": "r"}})),
        (prepare_reference, Reference(Path("/x"), [[1], [2, 3]], ["a", "b"])),
    ],
)
def test_a_result_crosses_unchanged(function, result):
    assert returned(function, result) == result


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (tasks.generate, (object(), 8), "generate: prompt: Unable to serialize unknown type: .*object"),
        (tasks.generate, ("a",), "missing a required argument: 'max_tokens'"),
        (tasks.generate, ("a", 8, 9), "too many positional arguments"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_refused(function, args, words):
    with pytest.raises(TypeError, match=words):
        messages.encode_arguments(function, args, {})


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (tasks.generate, (3, 8), "generate: prompt: Input should be a valid string"),
        (tasks.load, ("fake", {"folder": "x"}), "load: settings.device: Field required"),
    ],
)
def test_an_argument_of_another_type_is_refused(function, args, words):
    with pytest.raises(TypeError, match=words):
        sent(function, *args)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": "a", "max_tokens": "8"}, "generate: max_tokens: Input should be a valid integer"),
        ({"prompt": "a"}, "missing a required argument: 'max_tokens'"),
        ({"prompt": "a", "max_tokens": 8, "more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_an_argument_of_another_type_is_refused_where_it_arrives(arguments, words):
    with pytest.raises(TypeError, match=words):
        messages.decode_arguments(tasks.generate, arguments)


def test_the_field_of_a_dataclass_that_is_of_another_type_is_named():
    encoded = messages.encode_arguments(tasks.load, ("fake", LOAD), {})
    encoded["settings"]["batches"] = [[1, 2], [3, None]]
    with pytest.raises(TypeError, match=r"load: settings\.batches\.1\.1: Input should be a valid integer"):
        messages.decode_arguments(tasks.load, encoded)


def test_a_result_of_another_type_is_refused():
    with pytest.raises(TypeError, match="free_bytes: return: Input should be a valid integer"):
        returned(tasks.free_bytes, "much")


@pytest.mark.parametrize(
    "function", [json.dumps, echo, tasks.Path, lambda worker: None], ids=["library", "test", "class", "lambda"]
)
def test_what_is_not_a_function_of_the_package_has_no_name(function):
    with pytest.raises(ValueError, match="is not a function at the top of a module of bench_deepspeed"):
        messages.name_of(function)


@pytest.mark.parametrize("function", [tasks.load, prepare_reference])
def test_a_function_of_the_package_is_had_by_its_name(function):
    assert messages.function_named(messages.name_of(function)) is function


@pytest.mark.parametrize("error", [BenchError, *BenchError.__subclasses__()])
def test_every_error_of_the_suite_can_come_from_a_worker(error):
    assert BY_NAME[error.__name__] is error
