"""Checks of Python, of the packages and of the data that some of them carry."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.paths import ROOT, VENV
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.machine.software import installed_version
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import package, random

from .line import BLOCKER, MISSING, OK, WARNING, Line

STAMPS = (".installed", ".installed-models", ".installed-light")
LISTED = 5  # packages named in one line


def check_python(version: tuple[int, ...]) -> Line:
    name = f"Python {'.'.join(map(str, version))}"
    if version < (3, 10):
        return Line(BLOCKER, name, "3.10 is the oldest that works", "install a newer one, or name it in BENCH_PYTHON")
    return Line(OK, name)


def check_environment() -> Line:
    """Whether runs find a Python with packages: BENCH_PYTHON, or .venv as setup.sh makes it."""
    if os.environ.get("BENCH_PYTHON"):
        return Line(OK, "environment", f"BENCH_PYTHON, {sys.executable}")
    if VENV.exists() and VENV.samefile(sys.prefix):
        return _check_venv({name for name in STAMPS if (VENV / name).exists()})
    if not os.access(ROOT, os.W_OK):
        remedy = "clone to a folder of yours, or set BENCH_PYTHON to a Python with requirements.txt installed"
        return Line(BLOCKER, "environment", f"no .venv, and {ROOT} cannot be written", remedy)
    if util.find_spec("ensurepip") is None:  # Debian splits it off
        return Line(BLOCKER, "environment", "this Python cannot make a .venv", "on Debian, install python3-venv")
    return Line(MISSING, "environment", "no .venv yet", "the first run installs it; or run ./setup.sh (several GB)")


def _check_venv(stamps: set[str]) -> Line:
    """How far setup.sh came with .venv, by the stamps that it has left there."""
    if {".installed", ".installed-models"} <= stamps:
        return Line(OK, "environment", ".venv")
    if stamps == {".installed-light"}:
        remedy = "the first run adds them; or run ./setup.sh (several GB)"
        return Line(MISSING, "environment", ".venv can read results, and lacks the packages that measure", remedy)
    return Line(MISSING, "environment", "the set-up of .venv was interrupted", "run ./setup.sh")


def pins() -> dict[str, str]:
    """The direct dependencies of this Python and their versions, from requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    matches = [re.match(r"([\w.-]+)==([\w.+!-]+)(?:\s*;\s*([^#]+))?", line) for line in lines]
    return {pin[1]: pin[2] for pin in matches if pin and _applies(pin[3])}


def _applies(marker: str | None) -> bool:
    """Whether a line with `; python_version < "3.11"` is for this Python; False where that is not known."""
    if marker is None:
        return True
    if util.find_spec("packaging") is None:
        return False
    from packaging.markers import Marker

    return Marker(marker).evaluate()


def check_pins() -> Line:
    """Whether this Python has the direct dependencies in the versions that results are published with."""
    wanted = pins()
    installed = {name: installed_version(name) for name in wanted}
    absent = [name for name, version in installed.items() if version is None]
    # As pip compares: a local label such as the +cpu of torch 2.13.0+cpu does not count.
    differing = [n for n, version in installed.items() if version and version.split("+")[0] != wanted[n]]
    if absent:
        named = ", ".join(absent[:LISTED]) + (", …" if len(absent) > LISTED else "")
        detail = f"{len(absent)} of the {len(wanted)} pinned are not installed: {named}"
        return Line(MISSING, "packages", detail, "run ./setup.sh; with BENCH_PYTHON, install requirements.txt there")
    if differing:
        detail = ", ".join(f"{name} {installed[name]} instead of {wanted[name]}" for name in differing)
        remedy = "speeds may differ from those published; ./setup.sh --force installs what is pinned"
        return Line(WARNING, "packages", detail, remedy)
    return Line(OK, "packages", f"all {len(wanted)} in the pinned versions")


def check_data() -> Iterator[Line]:
    """The packages that carry weights or a tokenizer: there, and with the very file that is pinned.

    Then their version does not matter: nothing else of them is used.
    """
    specs = [catalog.load(name) for name in catalog.names()]
    sources = [spec.source for spec in specs if spec.source["kind"] == "package"]
    for source in (*sources, random.TOKENIZER):
        name = f"model data of {source['package']}"
        try:
            package.locate(source)
        except BenchError as error:  # its text names the remedy
            yield Line(MISSING, name, str(error))
        else:
            version = package.find(source["package"]).version
            file = f"{Path(source['file']).name} of {gigabytes(source['bytes'])}"
            yield Line(OK, name, f"{version}, {file}, digest verified")
