"""The colours of charts: names in a chart, values in a document.

A chart names a colour as the page's style sheet does, `var(--ink)`: there light, dark and print are its variables.
A document's picture knows only whether the reader prefers dark pages; a page around it may be light nevertheless,
so its text is of middle greys, which can be read on both.
"""

from __future__ import annotations

import re

COLOURS = {  # name: (on light pages, on dark ones)
    "--ink": ("#57606a", "#9aa4b0"),
    "--muted": ("#66707b", "#8d97a3"),
    "--line": ("#d3d8de", "#39424d"),
    "--warn": ("#8a4b00", "#ffc46b"),
    "--on-series": ("#ffffff", "#10151b"),
    "--series-0": ("#0072b2", "#56b4e9"),
    "--series-1": ("#b84d00", "#ff8f4a"),
    "--series-2": ("#007a5a", "#2cc59a"),
    "--series-3": ("#a8477f", "#e59ac8"),
    "--series-4": ("#8a6100", "#e9b949"),
    "--series-5": ("#5b4fc7", "#a79cf5"),
    "--series-6": ("#5d7a12", "#b7d149"),
    "--series-7": ("#66707c", "#9aa5b1"),
    "--series-8": ("#c1272d", "#ff7d7d"),
    "--series-9": ("#00707f", "#4fd0e0"),
    "--series-10": ("#7a4b2a", "#cf9f78"),
    "--series-11": ("#3d4a5c", "#d5dde8"),
    "--step-0": ("#1f93f2", "#4777f0"),
    "--step-1": ("#0095c8", "#058cd5"),
    "--step-2": ("#029aa1", "#059bb1"),
    "--step-3": ("#049267", "#00ab8a"),
    "--step-4": ("#008f24", "#00b555"),
    "--step-5": ("#567f02", "#82ad05"),
    "--step-6": ("#756a01", "#bba102"),
    "--step-7": ("#864b00", "#ed8e02"),
    "--step-8": ("#942800", "#ff8656"),
    "--step-9": ("#94002a", "#ff8a9f"),
    "--step-10": ("#7e0054", "#ff8bdb"),
    "--step-11": ("#620073", "#ec98ff"),
}
SERIES = [f"var({name})" for name in COLOURS if name.startswith("--series-")]
STEPS = [f"var({name})" for name in COLOURS if name.startswith("--step-")]
"""From blue to red and, on light pages, darker, on dark ones lighter: a quantity that grows."""


def steps(count: int) -> list[str]:
    """So many colours in their order, as far from each other as there are colours."""
    last = len(STEPS) - 1
    return [STEPS[round(n * last / max(count - 1, 1)) % len(STEPS)] for n in range(count)]


def page_style() -> str:
    """The series' colours as variables of a page: light, dark and, as on light pages, in print."""
    names = [name for name in COLOURS if name.startswith(("--series-", "--step-"))]
    light, dark = (":root{" + "".join(f"{name}:{COLOURS[name][n]};" for name in names) + "}" for n in (0, 1))
    return f"{light}@media screen and (prefers-color-scheme: dark){{{dark}}}"


def painted(svg: str) -> str:
    """A picture with the colours of light pages for their names."""
    return re.sub(r"var\((--[\w-]+)\)", lambda match: COLOURS[match[1]][0], svg)


def dark_style() -> str:
    """What turns a `painted` picture's colours into those of dark pages, as a style sheet."""
    rules = "".join(
        f'[{name}="{light}"]{{{name}:{dark}}}' for light, dark in COLOURS.values() for name in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark){{{rules}}}"
