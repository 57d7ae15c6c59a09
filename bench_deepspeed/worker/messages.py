"""A call as it crosses the socket: the function's name, and values in JSON by the function's annotations.

A function that can be called is defined at the top of a module of this package, and takes the worker first. Its other
arguments and its result are of types that pydantic can read from JSON: dataclasses, paths, lists, plain values.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from bench_deepspeed.core.paths import PACKAGE

if TYPE_CHECKING:
    from pydantic import TypeAdapter

R = TypeVar("R")


@dataclass(frozen=True)
class Failure:
    """An exception as the parent is to raise it. `foreign`: it is not the suite's, and its traceback is in the log."""

    type: str
    message: str
    foreign: bool = False


def name_of(function: Callable[..., object]) -> str:
    """The name under which `function_named` has it. Raises ValueError for a function that it would not return."""
    name = f"{function.__module__}:{function.__qualname__}"
    if function_named(name) is not function:
        raise ValueError(f"{name} is not the function that was passed")
    return name


def function_named(name: str) -> Callable[..., Any]:
    """The function with the name `module:function`. Raises ValueError unless this package defines it."""
    module, _, attribute = name.partition(":")
    function = getattr(import_module(module), attribute, None) if module.split(".")[0] == PACKAGE else None
    if not inspect.isfunction(function) or function.__module__ != module:
        raise ValueError(f"{name} is not a function at the top of a module of {PACKAGE}")
    return function


def encode_arguments(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments behind the worker, by name, in JSON. Raises TypeError for what the function does not take.

    Types are checked where the arguments arrive, as those of a result are: each side of the socket reads its half.
    """
    (_, *arguments) = inspect.signature(function).bind(None, *args, **kwargs).arguments.items()
    return {name: _encode(function, name, value) for name, value in arguments}


def decode_arguments(function: Callable[..., object], data: Mapping[str, Any]) -> dict[str, Any]:
    """What `encode_arguments` returned, as values again. Raises TypeError that names what is of another type."""
    inspect.signature(function).bind(None, **data)
    return {name: _decode(function, name, value) for name, value in data.items()}


def encode_result(function: Callable[..., object], result: object) -> Any:
    """What the function returned, in JSON. Raises TypeError where it is nothing that JSON can hold."""
    return _encode(function, "return", result)


def decode_result(function: Callable[..., R], data: object) -> R:
    """What `encode_result` returned, as a value again. Raises TypeError where it is of another type."""
    result: R = _decode(function, "return", data)
    return result


def _encode(function: Callable[..., object], name: str, value: object) -> Any:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(f"{function.__qualname__}: {name}: {' '.join(str(error).split())}") from error


def _decode(function: Callable[..., object], name: str, data: object) -> Any:
    from pydantic import ValidationError

    try:
        # As JSON text: there a strict check takes a text for a path and a list for a tuple, and nothing else.
        return _reader(function, name).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise TypeError(f"{function.__qualname__}: {place}: {first['msg']}") from error


@functools.cache
def _reader(function: Callable[..., object], name: str) -> TypeAdapter[Any]:
    """What reads one argument, or the result under the name "return"."""
    from pydantic import TypeAdapter

    return TypeAdapter(get_type_hints(function)[name])
