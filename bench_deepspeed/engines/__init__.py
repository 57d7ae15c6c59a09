"""Engines by name. A new engine is one file in this folder and one line here."""

from __future__ import annotations

from importlib import import_module

from .base import Engine

ENGINES = {
    "mii": "mii:MiiEngine",
    "deepspeed": "deepspeed:DeepSpeedEngine",
    "transformers": "transformers:TransformersEngine",
    "transformers_compiled": "transformers_compiled:TransformersCompiledEngine",
    "fake": "fake:FakeEngine",
}
DEFAULT_ENGINES = {"cuda": "mii", "cpu": "deepspeed"}


def engine_class(name: str) -> type[Engine]:
    """The class of an engine. Cheap: its module imports torch only when it loads a model."""
    module, attribute = ENGINES[name].split(":")
    return getattr(import_module(f".{module}", __name__), attribute)
