"""One HTML page of any results: nothing is fetched, all that it shows is in it.

A page is filled by one function a kind of file (`SECTIONS`), each with a template of its kind's name in
templates/. What the filter acts on carries a key: an index into `Page.keys`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import util
from pathlib import Path

from bench_deepspeed import report
from bench_deepspeed.benchmarks.ab.html import comparisons
from bench_deepspeed.benchmarks.load.html import loads
from bench_deepspeed.benchmarks.quality.html import qualities
from bench_deepspeed.benchmarks.run.html import results
from bench_deepspeed.benchmarks.sweep.html import sweeps
from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.report.html_page import FACETS, Page

from .documents import sentence
from .files import Item

TEMPLATES = Path(report.__file__).parent / "templates"
SECTIONS = {"result": results, "ab": comparisons, "sweep": sweeps, "load": loads, "quality": qualities}
"""Kind of file → what fills its section, which templates/<kind>.html.j2 shows: (files, page) → its variables."""


def render(items: list[Item]) -> str:
    """The whole page. Raises MachineError where the plotting library is not installed."""
    if util.find_spec("plotly") is None:
        raise MachineError("the HTML page needs plotly: install requirements.txt")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    page = Page()
    for kind, fill in SECTIONS.items():
        if found := [item for item in items if item.kind == kind]:
            page.sections.append({"kind": kind, "files": found, **fill(found, page)})
    scripts = {"plotly": get_plotlyjs(), "page": (TEMPLATES / "report.js").read_text(encoding="utf-8")}
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code, "sentence": sentence}
    return environment.get_template("report.html.j2").render(
        page=page,
        items=items,
        scripts=scripts,
        hashes=[_csp_hash(script) for script in scripts.values()],
        data=_json({"facets": FACETS, "keys": page.keys, "plots": page.plots}),
        not_measured=NOT_MEASURED,
    )


def _csp_hash(script: str) -> str:
    """How a Content-Security-Policy names an inline script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _json(data: dict):
    """JSON that no text in it can end the script element of."""
    from markupsafe import Markup

    return Markup(json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"))


def _code(text: str):
    """Text whose `parts` are code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
