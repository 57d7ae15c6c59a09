"""Blocks on a terminal: within its columns, whatever a kind of result puts into them."""

from __future__ import annotations

import dataclasses
import re

import pytest
from builders import result
from support import ROOT, unwrapped

from bench_deepspeed.benchmarks import registry
from bench_deepspeed.benchmarks.run import view
from bench_deepspeed.benchmarks.sweep import view as sweep_view
from bench_deepspeed.benchmarks.sweep.kind import KIND as SWEEP
from bench_deepspeed.measure.records import Limits, Memory, Prefill, Profile, Result, Share
from bench_deepspeed.report import terminal
from bench_deepspeed.report.blocks import Facts, Table, Text, Warnings

PUBLISHED = sorted(
    path for kind in registry.kinds() for path in (ROOT / "docs/results" / kind.published).glob("*.json")
)
TWO = [{"name": "one", "a": "1", "b": "x" * 40, "c": "same"}, {"name": "two", "a": "2", "b": "y" * 40, "c": "same"}]


def shown(one: Result, width: int = 80) -> str:
    return terminal.render(view.view(one), width)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_every_published_result_fits(path, width):
    kind = next(kind for kind in registry.kinds() if path.parent == ROOT / "docs/results" / kind.published)
    text = terminal.render(kind.view(kind.load(path)), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_table_that_fits_is_shown_whole():
    lines = terminal.render([Table(TWO, "")], 80).splitlines()
    assert lines[0].split("|")[1:-1] == [" name ", " a ", f" b{' ' * 40}", " c    "]
    assert lines[2] == f"| one  | 1 | {'x' * 40} | same |"


def test_what_all_rows_share_is_above_a_table_that_is_too_wide():
    assert terminal.render([Table(TWO, "")], 60).splitlines()[0] == "c: same"
    assert f"| one  | 1 | {'x' * 40} |" in terminal.render([Table(TWO, "")], 60)


def test_optional_columns_are_left_out_first_and_it_says_so():
    text = terminal.render([Table(TWO, "", optional=("b",))], 50)
    assert "| two  | 2 |" in text
    assert "not shown in 50 columns: b" in text
    assert "yyy" not in text


def test_rows_become_lists_where_most_do_not_fit():
    text = terminal.render([Table(TWO, "")], 50)
    assert f"name: two\n  a  2\n  b  {'y' * 40}" in text
    assert "|" not in text


def test_a_single_row_that_is_too_wide_is_a_list_below_the_others():
    rows = [{"name": str(n), "cell": "z" * (60 if n == 2 else 3), "other": str(n)} for n in range(4)]
    text = terminal.render([Table(rows, "")], 50)
    assert [line[:4] for line in text.splitlines()[2:5]] == ["| 0 ", "| 1 ", "| 3 "]
    assert f"name: 2\n  cell   {'z' * 60}\n  other  2" in text


def test_rows_of_other_columns_have_empty_cells():
    assert "| 2 |   |" in terminal.render([Table([{"a": "1", "b": "x"}, {"a": "2"}], "")], 80)


def test_values_and_warnings_go_on_below_their_beginning():
    words = "word " * 30
    facts = terminal.render([Facts({"name": words})], 200).splitlines()
    assert len(facts) > 1
    assert max(map(len, facts)) <= terminal.FACTS_WIDTH
    assert all(line.startswith("      word") for line in facts[1:])
    warning = terminal.render([Warnings([("code", words, "remedy")]), Text(words)], 80).splitlines()
    assert max(map(len, warning)) <= 80
    assert warning[1].startswith("  word")


def test_a_run_answers_in_its_first_sentence():
    first = unwrapped(shown(result(weights="random", processes=2)).split("\n\n")[0])
    assert first == (
        "Llama-2-7B-chat (random weights), mii, Some GPU, float16: 1.78 [0.03, 122.83] tokens/s (mean [95% interval]; "
        "2 processes × 2 repetitions)"
    )


def test_every_speed_has_its_unit():
    text = shown(result())
    for name, value in {"std": "1.41", "median": "3.00", "slowest": "2.00", "fastest": "4.00"}.items():
        assert re.search(rf"^{name} +{value} tokens/s$", text, re.M)


def test_what_was_not_measured_for_one_reason_is_one_line():
    one = result()
    one.prefill = Prefill(512, [0.01])
    text = unwrapped(shown(one))
    assert "not measured: energy, power (no energy counter could be read)" in text
    assert (
        "not measured: MFU of prefill, MBU of decode, memory bandwidth, matrix products, gate "
        "(the device's limits were not measured)" in text
    )
    one.status = "interrupted"
    assert text.count("not measured: ") > unwrapped(shown(one)).count("not measured: ") == 1
    assert "power (the run was interrupted before)" in unwrapped(shown(one))


def test_what_a_cpu_does_not_have_is_not_shown_of_it():
    memory = Memory(weights_bytes=10**9, host_peak_bytes=2 * 10**9)
    gpu, cpu = (unwrapped(shown(dataclasses.replace(result(device=d), memory=memory))) for d in ("cuda", "cpu"))
    for title in ("KV pool", "workspace", "driver"):
        assert title in gpu
        assert title not in cpu


def test_a_share_says_of_what_and_host_bound_what_it_means():
    one = result(device="cpu", precision="float32")
    one.limits, one.prefill = Limits(1e11, 1e12, 1e12, "float32", cache_bytes=0), Prefill(512, [10.0])
    one.profiles = [Profile("decode", "cpu", 9, 32, 10e-3, 7e-3, [Share("aten::addmm", 7e-3, 128)], [])]
    text = unwrapped(shown(one))
    assert re.search(r"MFU of prefill \d+% of the matrix products that were measured", text)
    assert "matrix products take 70%" in text
    assert "host-bound Python and the framework, outside kernels, take more than 20% of each step" in text


def test_rows_of_a_sweep_have_the_head_s_width_however_many_settings_vary():
    path = next((ROOT / "docs/results/sweeps").glob("*.json"))
    sweep = SWEEP.load(path)
    first, second = sweep.scenarios[:2]
    second.engine, second.precision, second.batch_size = "transformers_compiled", "bfloat16", 256
    second.prompt_tokens, second.max_tokens = 4096, 128
    second.status = "interrupted"
    *_, titles, rule = sweep_view.head(sweep)
    rows = [sweep_view.line(sweep, scenario) for scenario in (first, second)]
    assert {len(line) for line in (titles, rule, *rows)} == {len(titles)}
    assert len(titles) <= 80
    assert "interrupted" in rows[1]


def test_the_columns_are_those_of_the_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, terminal.render([Text("word " * 99)]).splitlines())) <= 80
