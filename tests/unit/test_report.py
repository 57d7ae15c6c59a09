"""`bench.sh report`: tables that are their evidence, and nothing but."""

from __future__ import annotations

import html
import json
import re
from argparse import Namespace
from pathlib import Path

import pytest
from builders import measured, result
from markdown_it import MarkdownIt

from bench_deepspeed.benchmarks.run import view as run_view
from bench_deepspeed.benchmarks.run.metrics import compiling
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.measure.records import Gpu, Result, Sample
from bench_deepspeed.report import markdown
from bench_deepspeed.report.blocks import Figure, Quoted, Section, Table, Text
from bench_deepspeed.results import documents, files

PAGE = "# Page\n\nBefore.\n\n<!-- run: llama -->\n<!-- /run -->\n\nAfter.\n"


class Site:
    """A page and the folder of its evidence."""

    def __init__(self, folder: Path, text: str = PAGE):
        self.page, self.results = folder / "docs" / "page.md", folder / "docs" / "results"
        self.results.mkdir(parents=True)
        self.page.write_text(text)

    def add(self, name: str, content: Result) -> Path:
        path = self.results / f"{name}.json"
        content.save(path)
        return path

    def report(self, check: bool = False) -> str:
        assert documents.run(Namespace(check=check), [self.page], self.results) == 0
        return self.page.read_text()

    def rows(self) -> list[dict[str, str]]:
        """The page's first table, column → cell."""
        first = re.search(r"(?:^\|.*\n)+", self.page.read_text(), re.M)[0]
        lines = first.splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_row_has_the_figures_and_links_to_its_evidence(site):
    site.add("one", result())
    site.add("two", result(engine="transformers", seconds=(8.0, 8.0)))
    text = site.report()
    mii, transformers = site.rows()
    assert (mii["engine"], mii["tokens/s"]) == ("mii", "2.67 [no interval]")
    for name, value in {"median": "3.00", "slowest": "2.00", "fastest": "4.00"}.items():
        assert re.search(rf"^\| {name} +\| {value} ", text, re.M)
    assert mii["peak memory"] == "14.00 GB"
    assert re.search(r"^\| weights +\| 13\.48 GB", text, re.M)
    assert (mii["std"], transformers["std"]) == ("1.41", "0.00")
    assert transformers["tokens/s"] == "1.00 [no interval]"
    for row in (mii, transformers):
        target = re.fullmatch(r"\[JSON\]\((.*)\)", row["evidence"])[1]
        assert (site.page.parent / target).is_file()
    assert "Device: Some GPU; precision: float16; prompt + new tokens: 5 + 8; n: 1 × 2.\n" in text
    assert "\n\nTokens/s: total tokens over total time [95% interval" in text
    assert text.startswith("# Page\n\nBefore.\n\n<!-- run: llama -->\n")
    assert text.endswith("\n<!-- /run -->\n\nAfter.\n")


def test_the_interval_is_over_the_processes(site):
    """Means of 3 and 6 s for 8 tokens: 8 ∕ 4.5, times exp(± 12.7062 · 1.5 ∕ 4.5), as one degree of freedom has it."""
    site.add("one", result(processes=2))
    site.report()
    (row,) = site.rows()
    assert row["tokens/s"] == "1.78 [0.03, 122.83]"
    assert "n: 2 × 2." in site.page.read_text()


def test_a_study_of_the_suite_itself_is_rendered(tmp_path):
    site = Site(tmp_path, "<!-- simulation: coverage -->\n<!-- /simulation -->\n")
    assert "Not measured yet." in site.report()
    row = {"name": "some", "target_ci": None, "runs": 40, "covered": 38, "mean_processes": 3.0, "warned": 4}
    row |= {"wrong_warned": 1, "wrong_warned_by_number": 2, "mean_relative_half_width": 0.071}
    rows = [row, {**row, "covered": 40, "target_ci": 0.03}]
    (site.results / "simulations").mkdir()
    (site.results / "simulations" / "coverage.json").write_text(json.dumps({"rows": rows}))
    site.report()
    first, second = site.rows()
    assert list(first.values())[1:] == ["3", "± 7.1%", "95.0%", "2", "50%", "100%", "10.0%"]
    assert (second["processes"], second["by their number"]) == ("3 (until ± 3%)", "none")


def test_it_says_on_what_it_was_measured(site):
    site.add("one", result())
    facts = (
        "2026-01-02, Some GPU, driver 580.1, CUDA 13.2, CUDA 13.0, nvcc 13.1, torch 2.13.0, deepspeed 0.19.8, "
        "deepspeed-mii 0.3.3, transformers 5.17.0, Python 3.12.3, Some CPU, Linux 6.1, commit c0ffee"
    )
    (line,) = [line for line in site.report().splitlines() if line.startswith("Measured on")]
    assert [fact for fact in facts.split(", ") if fact not in line] == []


def test_rows_measured_elsewhere_are_distinguished(site):
    site.add("one", result())
    site.add("two", result(engine="deepspeed", device="cpu", environment={"cpu": "Other CPU"}))
    text = site.report()
    assert [row["evidence"][-3:] for row in site.rows()] == ["(1)", "(2)"]
    assert [row["device"] for row in site.rows()] == ["Some GPU", "Other CPU, 16 threads"]
    assert re.search(r"^\(1\) Measured .*Some GPU", text, re.M)
    assert re.search(r"^\(2\) Measured .*Other CPU", text, re.M)


def test_order_is_model_engine_precision(site):
    wanted = [("mii", "bfloat16"), ("mii", "float16"), ("deepspeed", "float32"), ("transformers", "float16")]
    for number, (engine, precision) in enumerate(reversed(wanted)):
        site.add(f"{number}", result(engine=engine, precision=precision))
    site.report()
    assert [(row["engine"], row["precision"]) for row in site.rows()] == wanted


def test_random_weights_are_marked_at_the_number(site):
    site.add("one", result(weights="random"))
    text = site.report()
    assert "**Speed of Llama-2-7B-chat (random weights)**" in text
    assert "Random weights: the speed of the model's shape" in text


def test_a_models_note_is_below_with_its_name(site):
    content = result()
    content.model["note"] = "Made of cheese."
    site.add("one", content)
    assert "\n\nLlama-2-7B-chat: Made of cheese.\n\n" in site.report()


def test_a_page_shows_its_model_only_and_all_shows_every(tmp_path):
    for name, subject, models in (("a", "llama", ["Llama-2-7B-chat"]), ("b", "all", ["Llama-2-7B-chat", "mistral"])):
        site = Site(tmp_path / name, PAGE.replace("llama", subject))
        site.add("one", result(model="mistral", processes=2))
        site.add("two", result(processes=2))
        site.add("three", result())  # without an interval it is no headline
        text = site.report()
        assert [
            model for model in ("Llama-2-7B-chat", "mistral") if f"| {model} " in text or f"of {model}**" in text
        ] == models


def test_without_an_interval_there_is_no_headline(tmp_path):
    site = Site(tmp_path, PAGE.replace("llama", "all"))
    site.add("one", result())
    assert "<!-- run: all -->\nNo result has an interval over processes yet.\n<!-- /run -->" in site.report()


def test_what_a_published_run_printed_is_shown(tmp_path):
    site = Site(tmp_path, "# Page\n\n<!-- terminal: run/one -->\n<!-- /terminal -->\n")
    site.add("one", result())
    text = site.report()
    assert re.search(r"^```text\nLlama-2-7B-chat, mii, Some GPU, float16: 2\.67 tokens/s", text, re.M)
    assert "\nmedian " in text
    assert text.endswith("\n```\n<!-- /terminal -->\n")


def test_what_was_not_measured_is_said(site):
    site.add("one", result(model="mistral"))
    assert "<!-- run: llama -->\nNot measured yet.\n<!-- /run -->" in site.report()


def test_a_second_time_changes_nothing(site):
    site.add("one", result())
    text = site.report()
    before = site.page.stat().st_mtime_ns
    assert site.report() == text
    assert site.page.stat().st_mtime_ns == before
    assert site.report(check=True) == text
    assert sorted(path.name for path in site.page.parent.iterdir()) == ["figures", "page.md", "results"]


@pytest.mark.parametrize("change", ["page", "evidence", "new evidence", "lost evidence"])
def test_check_catches_one_changed_digit(site, change):
    path = site.add("one", result())
    text = site.report()
    if change == "page":
        site.page.write_text(text.replace("2.67 [no", "3.10 [no"))
    elif change == "evidence":
        path.write_text(path.read_text().replace('"seconds": 4.0', '"seconds": 4.1'))
    elif change == "new evidence":
        site.add("two", result(precision="bfloat16"))
    else:
        path.unlink()
    before = site.page.read_text()
    with pytest.raises(BenchError, match="page.md") as caught:
        site.report(check=True)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert site.page.read_text() == before


def void() -> Result:
    content = result()
    content.runs[0].samples[1] = Sample(4.0, 5, 7)
    return content


def failed(status: str) -> Result:
    content = result()
    content.status = status
    return content


REFUSED = {
    "fake engine": (result(engine="fake", device="cpu", precision="float32"), "fake engine"),
    "failed": (failed("failed"), "'failed'"),
    "interrupted": (failed("interrupted"), "'interrupted'"),
    "running": (failed("running"), "'running'"),
    "void": (void(), "1 of 2 repetitions are valid, 1 void"),
    "too few": (result(repetitions=3), "2 of 3 repetitions are valid"),
    "no driver": (result(environment={"gpus": []}), "lacks 'Some GPU'"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_must_not_be_published_is_refused_by_name(site, content, reason):
    site.add("good", result())
    site.add("bad", content)
    with pytest.raises(BenchError, match=r"bad\.json") as caught:
        site.report()
    assert reason in str(caught.value)
    assert site.page.read_text() == PAGE


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"schema_version": 1})])
def test_what_is_no_result_is_refused_by_name(site, text):
    (site.results / "bad.json").write_text(text)
    with pytest.raises(BenchError, match=r"bad\.json is (not a result|damaged, or is not JSON)"):
        site.report()


@pytest.mark.parametrize(
    "text",
    [
        "<!-- run: llama -->\n",
        "<!-- /run -->\n",
        "<!-- run: llama -->\n<!-- run: all -->\n<!-- /run -->\n",
        "<!-- run: llama -->\n<!-- /quality -->\n",
        "<!-- run: lama -->\n<!-- /run -->\n",
        "<!-- result: llama -->\n<!-- /result -->\n",
        "<!-- simulation: llama -->\n<!-- /simulation -->\n",
        "<!-- run: coverage -->\n<!-- /run -->\n",
    ],
)
def test_a_marker_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(BenchError, match="page.md"):
        Site(tmp_path, text).report()


def test_the_seconds_of_compiling_stand_in_every_table_of_figures():
    compiled = result(processes=2)
    for run, seconds in zip(compiled.runs, (12.34, 3.0), strict=True):
        run.compile_s = seconds
    assert compiling(compiled) == "12.3 s, 3.0 s"
    assert compiling(result()) == "none"


def test_random_and_pretrained_weights_of_a_model_have_a_figure_each(site):
    site.add("random", result(weights="random"))
    site.add("own", result(weights="pretrained"))
    text = site.report()
    assert "(figures/llama-random-speed.svg)" in text
    assert "(figures/llama-speed.svg)" in text
    assert site.report(check=True) == text


def test_two_figures_of_one_name_are_refused(site, monkeypatch):
    site.add("random", result(weights="random"))
    site.add("own", result(weights="pretrained"))
    monkeypatch.setattr(run_view, "figure_name", lambda model, _weights, what: f"{model}-{what}")
    with pytest.raises(BenchError, match="two figures are named llama-speed"):
        site.report()


def test_results_with_the_same_file_name_keep_a_column_each(tmp_path):
    items = []
    for folder in ("old", "new"):
        path = tmp_path / folder / "llama.json"
        path.parent.mkdir()
        result().save(path)
        items += files.read([path])
    sections = [block for block in run_view._speed_table(items) if isinstance(block, Section)]
    (table,) = [block for part in sections for block in part.blocks if getattr(block, "column_facets", None)]
    assert list(table.rows[0]) == ["", "old/llama", "new/llama"]


def test_models_of_any_size_share_no_axis(tmp_path):
    for name in ("llama", "smollm2"):
        measured(result(model=name)).save(tmp_path / f"{name}.json")
    sections = run_view.overview(files.read(sorted(tmp_path.glob("*.json"))), compact=False)
    found = [block for part in sections if isinstance(part, Section) for block in part.blocks]
    titles = [block.chart.title for block in found if isinstance(block, Figure) and block.name == "run-decode-step"]
    assert titles == ["Parts of a decode step of Llama-2-7B-chat", "Parts of a decode step of smollm2"]


@pytest.mark.parametrize("text", ["[x](http://a.b)", "![x](http://a.b/c.png)", "~~struck~~", "<b>", "*a* _b_ `c` &lt;"])
def test_a_quoted_answer_is_no_markup(text):
    rendered = markdown.render([Table([{"says": Quoted(text)}], "T")], Path("page.md"), lambda _: None)
    plain = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(rendered)
    assert html.escape(text, quote=False) in plain


def test_rows_that_are_no_comparison_say_what_differs(site):
    """Engines and precisions may be compared side by side, other devices, lengths or versions may not."""
    site.add("one", result())
    site.add("two", result(engine="transformers", precision="bfloat16"))
    site.add("mistral", result(model="mistral", environment={"commit": "beef"}))
    assert "they are no comparison" not in site.report()
    site.add("three", result(processes=2, environment={"commit": "beef"}))
    assert "Rows of one model differ in n, commit of the suite: they are no comparison" in site.report()
    site.add("four", result(environment={"gpu_used": "Another GPU", "gpus": [Gpu("Another GPU", "9.0", 1, "5")]}))
    assert "differ in device, n, commit of the suite: " in site.report()


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("./bench_deepspeed/bench.sh -r 3", "; `./bench_deepspeed/bench.sh -r 3`."),
        ("./bench_deepspeed/bench.sh -p 'a`b'", "commit c0ffee."),
        ("./bench_deepspeed/bench.sh -p '<b>'", "commit c0ffee."),
        ("./bench_deepspeed/bench.sh -p 'a\nb'", "commit c0ffee."),
    ],
)
def test_a_recorded_command_stands_with_the_machine_where_a_page_shows_it_as_it_is(site, command, shown):
    site.add("one", result(environment={"command": command}))
    assert shown in site.report()


def test_a_documented_section_is_folded_and_any_other_folded_one_left_out():
    blocks = [
        Section(title, [Text("body")], folded=True, documented=kept) for title, kept in (("<b>", True), ("no", False))
    ]
    rendered = markdown.render(blocks, Path("page.md"), lambda _: None)
    assert rendered == "<details>\n<summary>&lt;b></summary>\n\nBody.\n\n</details>"
