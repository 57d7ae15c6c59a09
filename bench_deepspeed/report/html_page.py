"""What an HTML page is filled with: keys that its filter acts on, figures, tables, sections."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench_deepspeed.measure.warnings import Finding

FACETS = ("model", "engine", "device", "precision")
Key = tuple[str, str, str, str]
"""The values of FACETS."""


@dataclass
class Page:
    """What the templates show: the distinct keys, the figures by id, and a section for each kind of file."""

    keys: list[Key] = field(default_factory=list)
    plots: dict[str, dict] = field(default_factory=dict)
    sections: list[dict] = field(default_factory=list)

    def key(self, *values: str) -> int:
        """The index of a key, the same for the same values of FACETS."""
        if values not in self.keys:
            self.keys.append(values)
        return self.keys.index(values)

    def plot(self, name: str, figure: dict | None, says: str) -> dict | None:
        """Add a figure; `says` stands for it where it cannot be seen. None stays None."""
        if figure is None:
            return None
        identity = f"plot-{len(self.plots) + 1}-{name}"
        self.plots[identity] = figure
        return {
            "id": identity,
            "says": says,
            "keys": sorted({key for trace in figure["data"] for key in trace["meta"]}),
        }

    def facets(self) -> dict[str, list[str]]:
        """Facet → its values; without those that have only one, by which nothing is to be told apart."""
        values = {facet: list(dict.fromkeys(key[n] for key in self.keys)) for n, facet in enumerate(FACETS)}
        return {facet: found for facet, found in values.items() if len(found) > 1}


def table(rows: list[tuple[list[int], dict[str, str]]]) -> dict:
    """Rows, each with the keys that it is shown for, for the template."""
    return {"head": list(rows[0][1]) if rows else [], "rows": [(keys, list(cells.values())) for keys, cells in rows]}


def findings(found: list[Finding]) -> list[dict[str, str]]:
    """Warnings for the template."""
    return [{"code": one.code, "text": one.text, "remedy": one.remedy} for one in found]


def environment(facts: dict) -> dict[str, str]:
    """Each fact in words; lists and tables of facts in one line."""
    return {name.replace("_", " "): _words(value) for name, value in facts.items()}


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value)) or "none"
    return "not recorded" if value is None else str(value)
