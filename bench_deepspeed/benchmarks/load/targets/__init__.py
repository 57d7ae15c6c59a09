"""Targets by name. A new target is one file in this folder and one line here."""

from __future__ import annotations

from importlib import import_module

from .base import Target

TARGETS = {
    "serve": "serve:ServeTarget",
    "async": "async_pipeline:AsyncTarget",
    "sequential": "sequential:SequentialTarget",
    "mii_openai": "mii_openai:MiiOpenAiTarget",
    "openai": "openai:OpenAiTarget",
    "stub": "stub:StubTarget",
}
OPENAI = "openai"
"""The target that is a server which somebody else has started."""
DEFAULT_TARGETS = {"cuda": "serve", "cpu": "sequential"}


def target_class(name: str) -> type[Target]:
    """The class of a target. Cheap: its module imports what is not in the standard library only when it is used."""
    module, attribute = TARGETS[name].split(":")
    return getattr(import_module(f".{module}", __name__), attribute)
