"""The HTML page in a real browser: what it shows, filters, says of itself, and that it asks the network for nothing."""

from __future__ import annotations

import itertools
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import ab, folder_of_every_kind, measured, result
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from bench_deepspeed.report import palette
from bench_deepspeed.results import files as evidence
from bench_deepspeed.results import page as html

# Chromium's own calls home are none of the page's requests; as root it has no sandbox.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOSTILE = "</script><script>window.broken = true</script><img src=x onerror='window.broken = true'>"
WIDE = {"width": 1280, "height": 900}
SPEED, DOT = "[data-name$='-speed']", ".mark-symbol.role-mark path"
TICK = f"{SPEED} .role-axis-label text"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser that setup.sh --tests found or installed."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS, chromium_sandbox=os.geteuid() != 0)
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of every kind of file, of two models, two engines and two devices."""
    folder = tmp_path_factory.mktemp("report")
    files = folder_of_every_kind(folder)
    made = {
        "other": result(engine="transformers", precision="bfloat16", seconds=(8.0, 8.5), processes=2),
        "random": result(model="mistral", weights="random", prompt=HOSTILE, environment={"gpu_used": "Other GPU"}),
    }
    made["random"].model["note"] = HOSTILE
    for name, content in made.items():
        content.save(folder / f"{name}.json")
        files.append(folder / f"{name}.json")
    page = folder / "report.html"
    page.write_text(html.render(evidence.read(files)), encoding="utf-8")
    return page


class Shown:
    """The page as opened, and what it did meanwhile."""

    def __init__(self, page: Page, path: Path):
        self.page, self.problems, self.requests = page, [], []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        self.settle()

    def settle(self) -> None:
        """Wait until every figure that can be seen is drawn."""
        drawn = "place => !place.clientWidth || place.querySelector('svg .role-mark')"
        self.page.wait_for_function(f"[...document.querySelectorAll('.plot')].every({drawn})")

    def style(self, selector: str, name: str) -> str:
        return self.page.eval_on_selector(selector, "(element, name) => getComputedStyle(element)[name]", name)

    def choose(self, value: str) -> None:
        self.page.locator(".filter").evaluate("part => { part.open = true; }")
        self.page.locator(f"input[value='{value}']").check(force=True)
        self.settle()

    def visible_engines(self) -> set[str]:
        """Those in the first column of the tables of speeds."""
        cells = self.page.locator("#run .scroll[aria-label='Tokens per second'] tbody tr:visible td:nth-child(1)")
        return set(cells.all_inner_texts())

    def expect_dots(self, name: str, *counts: int) -> None:
        """How many dots each visible figure of a name has, once it is drawn."""
        figures = self.page.locator(f"[data-name$='{name}']:visible")
        expect(figures).to_have_count(len(counts))
        for number, count in enumerate(counts):
            expect(figures.nth(number).locator(DOT)).to_have_count(count)

    def hover(self, name: str) -> Locator:
        """What hovering over the first dot of a figure shows."""
        dot = self.page.locator(f"[data-name$='{name}'] {DOT}").first
        dot.scroll_into_view_if_needed()
        box = dot.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return self.page.locator("#vg-tooltip-element")


@pytest.fixture
def shown(browser: Browser, report: Path) -> Iterator[Shown]:
    context = browser.new_context(viewport=WIDE, color_scheme="light")
    yield Shown(context.new_page(), report)
    context.close()


def channels(colour: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours, "rgb(…)"."""

    def luminance(colour: str) -> float:
        parts = [channel / 255 for channel in channels(colour)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_it_loads_without_a_word_and_without_a_request(shown, report):
    assert shown.problems == []
    assert {re.match(r"\w+:", url)[0] for url in shown.requests} <= {"file:", "data:"}
    assert [url for url in shown.requests if url.startswith("file:")] == [report.as_uri()]
    assert "http:" not in (policy := shown.page.locator("meta[http-equiv]").get_attribute("content"))
    assert "default-src 'none'" in policy and "unsafe-inline'; img" in policy and "script-src 'sha256-" in policy


def test_every_section_is_there_with_its_figures_and_evidence(shown):
    titles = shown.page.locator("main h2").all_inner_texts()
    assert titles == ["Speed", "A/B", "Batches", "Load", "Quality", "Benchmark tools"]
    assert shown.page.locator("nav a").all_inner_texts() == [*titles, "Files"]
    names = {"speed": 2, "ttft_s": 1, "tpot_s": 1, "decode-step": 1, "throughput": 1, "load": 1, "ratios": 1}
    for name, count in names.items():
        figures = shown.page.locator(f"[data-name$='{name}']")
        expect(figures).to_have_count(count)
        expect(figures.first.locator("svg")).to_be_visible()
        assert figures.first.get_attribute("aria-label")
    text = shown.page.locator("body").evaluate("body => body.textContent")
    for name in ("result.json", "random.json", "quality.json", "sweep.json", "load.json", "ab.json"):
        assert name in text
    assert "1.78 [0.03, 122.83]" in text
    assert "host-bound: the GPU idles 75% of each decode step" in text
    assert "Stopped at 4 clients: half of the requests failed." in text
    assert "3 of 11 requests waited for room in the KV cache" in text
    assert "Refused: transformers float16, batch 4: 128 + 17 tokens: it does not fit" in text


def test_what_is_random_or_not_measured_is_said_with_the_number(shown):
    part = shown.page.locator("#run > article", has_text="Speed of mistral (random weights)")
    assert "2.67 [no interval]" in part.locator("tbody tr").first.inner_text()
    assert "mistral (random weights)" in part.locator("figcaption").inner_text()
    latency = shown.page.locator("#run > details", has_text="Latency")
    expect(latency).to_contain_text("Not measured of 2 further results.")


def test_warnings_have_their_figure_and_remedy(shown):
    card = cards(shown).first
    expect(card.locator(".badge")).to_have_text("5 warnings")
    card.locator("summary").first.click()
    expect(card.locator(".findings")).to_contain_text("few_samples")
    expect(card.locator(".findings")).to_contain_text("2 processes with 2 valid repetitions")
    expect(card.locator(".findings")).to_contain_text("Remedy: --processes 3 -r 5 or more.")
    expect(card).to_contain_text("580.1")


def cards(shown: Shown) -> Locator:
    """Each result, folded."""
    return shown.page.locator("#run > details", has_text="tokens/s").filter(has=shown.page.locator(".findings"))


def test_every_raw_sample_is_there(shown, report):
    for item in evidence.read([report.parent / name for name in ("result.json", "ab.json")]):
        text = shown.page.locator(f"#{item.kind.name}").evaluate("part => part.textContent")
        for sample in item.kind.samples(item.content):
            assert sample["phase"] != "timed" or f"{sample['seconds']:.6f}" in text


def test_the_filter_acts_on_tables_and_figures_alike(shown):
    assert shown.visible_engines() == {"mii", "transformers"}
    shown.expect_dots("speed", 8, 2)
    shown.choose("transformers")
    assert shown.visible_engines() == {"transformers"}
    shown.expect_dots("speed", 4)
    line = shown.page.locator("[data-name$='-throughput'] .mark-line.role-mark path")
    expect(line).to_have_count(3)  # its line and the two limits, which all engines share
    legend = shown.page.locator("[data-name$='-throughput'] + .legend li")
    assert [entry for entry in legend.all_inner_texts() if "limit" not in entry] == ["■transformers"]
    details = shown.page.locator("#run article").first.locator("details").first
    details.locator("summary").click()
    assert details.locator("th:visible").all_inner_texts() == ["", "other"]
    expect(shown.page.locator("#load")).to_be_hidden()
    expect(shown.page.locator("nav a", has_text="Load")).to_be_hidden()
    expect(shown.page.locator("#shown")).to_have_text("transformers")
    shown.choose("bfloat16")
    expect(shown.page.locator("#sweep")).to_be_hidden()
    shown.page.get_by_role("button", name="Show everything").click()
    expect(shown.page.locator("#load")).to_be_visible()
    assert shown.visible_engines() == {"mii", "transformers"}
    shown.expect_dots("speed", 8, 2)
    assert shown.problems == []


def test_a_choice_that_nothing_meets_says_so(shown):
    shown.choose("Other GPU")
    shown.choose("bfloat16")
    expect(shown.page.locator("#nothing")).to_be_visible()
    assert shown.page.locator("main > section:visible").count() == 0


def test_the_filter_works_from_the_keyboard(shown):
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.className") == "skip"
    shown.page.locator(".filter summary").focus()
    shown.page.keyboard.press("Enter")
    shown.page.locator("input[value='transformers']").focus()
    shown.page.keyboard.press("Space")
    assert shown.visible_engines() == {"transformers"}
    ring = "input[value='transformers'] + span"
    assert shown.style(ring, "outlineStyle") == "solid"
    assert shown.page.locator(".scroll").first.get_attribute("tabindex") == "0"


def test_hovering_over_a_sample_shows_its_value_and_process(shown):
    hover = shown.hover("-speed")
    expect(hover).to_contain_text("process 1, sample 1 of 2")
    expect(hover).to_contain_text("4 tokens/s")


def test_a_comparison_has_its_verdict_pairs_warnings_and_rounds(shown):
    part = shown.page.locator("#ab > article")
    expect(part.locator("h3")).to_have_text("Llama-2-7B-chat: mii, float16 against transformers, float16")
    expect(part.locator(".verdict")).to_contain_text("No difference shown: B ∕ A is 0.7")
    part.locator("summary", has_text="Pairs of processes").click()
    cells = part.locator("tbody tr").all_inner_texts()
    assert cells[0].startswith("A\tmii, float16\t4.00 [4.00, 4.00]")
    assert cells[1].startswith("B\ttransformers, float16, HOW=slowly\t2.81 [")
    assert [row.split("\t")[:3] for row in cells[2:4]] == [["1", "4.00", "3.20"], ["2", "4.00", "2.50"]]
    expect(part.locator(".findings")).to_contain_text("not_idle B kept up to 0.50 CPUs busy while the other was timed")
    part.locator("summary", has_text="Raw samples").click()
    rounds = part.locator("details[open]", has_text="Raw samples").locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[:3] for row in rounds] == [
        [p, r, first] for p in "12" for r, first in (("1", "A"), ("2", "B"))
    ]
    part.locator("summary", has_text="Environment").click()
    expect(part).to_contain_text("580.1")


def test_the_ratios_are_drawn_around_a_line_at_1(shown):
    """Two dots, and before them the line: both pairs are slower."""
    shown.expect_dots("ratios", 2)
    figure = shown.page.locator("[data-name='ab-ratios']")
    line = figure.locator(".mark-rect.role-mark").nth(1).locator("path").first.bounding_box()  # the first are ticks
    dots = [dot.bounding_box() for dot in figure.locator(DOT).all()]
    assert all(dot["x"] + dot["width"] < line["x"] + line["width"] for dot in dots)
    assert dots[1]["x"] < dots[0]["x"]
    hover = shown.hover("ratios")
    expect(hover).to_contain_text("pair 1 of 2: 0.80")
    expect(hover).to_contain_text("0.8 times A's tokens/s")


def test_a_comparison_is_there_for_either_side_and_whole(shown):
    for engine in ("mii", "transformers"):
        shown.choose(engine)
        shown.expect_dots("ratios", 2)
        assert shown.page.locator("#ab > article").locator("tbody tr:visible").count() == 2
        shown.page.get_by_role("button", name="Show everything").click()
    shown.choose("bfloat16")
    expect(shown.page.locator("#ab")).to_be_hidden()


def test_a_comparison_without_a_round_says_how_it_ended(browser, tmp_path):
    failed = ab()
    failed.a.runs, failed.b.runs, failed.rounds = [], [], []
    failed.status, failed.error = "failed", "B: no such thing"
    failed.save(tmp_path / "ab.json")
    page = tmp_path / "ab.html"
    page.write_text(html.render(evidence.read([tmp_path / "ab.json"])), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(page.as_uri())
    expect(opened.locator("#ab")).to_contain_text(
        "Failed (B: no such thing): not everything that was requested is here."
    )
    expect(opened.locator(".verdict")).to_have_text("No verdict: no round is valid.")
    assert opened.locator(".plot").count() == 0
    opened.close()


def test_a_card_shows_what_came_before_the_repetitions(browser, tmp_path):
    compiled = result(processes=2)
    compiled.runs[0].compile_s, compiled.runs[0].steady = 50.0, True
    compiled.save(tmp_path / "one.json")
    page = tmp_path / "one.html"
    page.write_text(html.render(evidence.read([tmp_path / "one.json"])), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(page.as_uri())
    opened.locator("#run > details > summary").click()
    rows = opened.locator("#run > details table").first.locator("tbody tr").all_inner_texts()
    assert rows == ["1\t1.0 s\tnot measured\t50.0 s\t0, then steady", "2\t1.0 s\tnot measured\tnone\t0"]
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_of_series_differ_from_each_other_and_carry_figures(browser, report, scheme):
    context = browser.new_context(color_scheme=scheme)
    shown = Shown(context.new_page(), report)
    names = ["--on-series", "--card", *(name[4:-1] for name in palette.SERIES)]
    read = "names => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))"
    on, card, *series = [hexadecimal(colour) for colour in shown.page.evaluate(read, names)]
    for colour in series:
        assert contrast(colour, on) >= 4.5
        assert contrast(colour, card) >= 3.0
    for one, other in itertools.combinations(series, 2):
        assert math.dist(channels(one), channels(other)) >= 30, (one, other)
    for one, other in itertools.combinations(series[:8], 2):
        assert math.dist(channels(one), channels(other)) >= 45, (one, other)
    context.close()


def hexadecimal(colour: str) -> str:
    """ "#0072b2" as "rgb(…)"."""
    return f"rgb({', '.join(str(int(colour.strip()[n : n + 2], 16)) for n in (1, 3, 5))})"


def test_a_link_to_the_evidence_opens_its_card(shown):
    shown.page.locator("#run td a", has_text="other.json").click()
    expect(cards(shown).nth(1)).to_have_attribute("open", "")
    expect(cards(shown).nth(1)).to_contain_text("other.json")


def test_what_a_file_says_is_text_and_nothing_else(shown):
    cards(shown).nth(2).locator("summary").first.click()
    expect(cards(shown).nth(2).locator("dd", has_text="<script>")).to_have_text(HOSTILE)
    assert shown.page.evaluate("window.broken") is None
    assert shown.page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(browser, report, scheme):
    context = browser.new_context(viewport=WIDE, color_scheme=scheme)
    shown = Shown(context.new_page(), report)
    card, page = shown.style("article", "backgroundColor"), shown.style("body", "backgroundColor")
    for selector, behind in (("body", page), (".lead", page), ("article h3", card), ("article .note", card)):
        assert contrast(shown.style(selector, "color"), behind) >= 4.5, selector
    fills = "all => all.map((text) => getComputedStyle(text).fill)"
    for fill in set(shown.page.eval_on_selector_all(f"{SPEED} text", fills)):
        assert contrast(fill, card) >= 4.5
    dots = shown.page.eval_on_selector_all(f"{SPEED} {DOT}", fills)
    assert min(contrast(fill, card) for fill in dots if fill != "none") >= 3.0
    context.close()


def test_the_dark_page_is_dark_and_follows_a_change(shown):
    light = [shown.style("body", "backgroundColor"), shown.style(TICK, "fill")]
    shown.page.emulate_media(color_scheme="dark")
    expect(shown.page.locator("body")).not_to_have_css("background-color", light[0])
    shown.page.wait_for_function(
        "([selector, fill]) => getComputedStyle(document.querySelector(selector)).fill !== fill",
        arg=[TICK, light[1]],
    )
    dark = [shown.style("body", "backgroundColor"), shown.style(TICK, "fill")]
    for darker, lighter in ((dark[0], light[0]), (light[1], dark[1])):
        assert sum(channels(darker)) < 300
        assert sum(channels(lighter)) > 500


def test_on_a_narrow_window_only_boxes_scroll(browser, report):
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    shown = Shown(context.new_page(), report)
    page = shown.page
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    shown.settle()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.eval_on_selector(".scroll", "box => box.scrollWidth > box.clientWidth")
    figures = page.locator(".plot:visible")
    assert max(figures.evaluate_all("all => all.map((plot) => plot.getBoundingClientRect().right)")) <= 390
    for figure in page.locator(".plot:visible:not([data-name$='-load'])").all():  # there, two levels are one point
        boxes = figure.locator("text").evaluate_all(BOXES)
        assert max(box["right"] for box in boxes) <= 390
        assert [pair for pair in itertools.combinations(boxes, 2) if overlapping(*pair)] == []
    context.close()


BOXES = """all => all.filter((text) => text.textContent).map((text) => {
  const { left, right, top, bottom } = text.getBoundingClientRect();
  return { left, right, top, bottom, text: text.textContent };
})"""


def overlapping(one: dict, other: dict) -> bool:
    """Whether two texts cross by more than the empty edge of a line."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1 and down > 3


def test_on_paper_it_is_light_as_wide_as_the_paper_and_without_what_is_folded(browser, report):
    context = browser.new_context(viewport=WIDE, color_scheme="dark")
    shown = Shown(context.new_page(), report)
    shown.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    shown.page.wait_for_function(f'document.querySelector("{SPEED} svg").clientWidth < 44 * 16')
    shown.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    shown.page.wait_for_function(f'document.querySelector("{SPEED} svg").clientWidth > 44 * 16')
    shown.page.emulate_media(media="print")
    assert channels(shown.style("body", "backgroundColor")) == [255, 255, 255]
    expect(shown.page.locator(".filter")).to_be_hidden()
    assert shown.page.locator("details:not([open]):visible").count() == 0
    assert shown.page.locator(".findings:visible").count() > 2
    pages = len(re.findall(rb"/Type\s*/Page\b", shown.page.pdf(format="A4")))
    assert 2 <= pages <= 8
    context.close()


def test_no_table_overflows_a_wide_window(shown):
    shown.page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    overflowing = "all => all.filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.ariaLabel)"
    assert shown.page.eval_on_selector_all(".scroll", overflowing) == []
    assert shown.page.evaluate("document.documentElement.scrollWidth") == WIDE["width"]


def test_the_page_begins_with_the_fastest_and_its_baseline(shown):
    tiles = shown.page.locator("#headline .tile")
    first = tiles.first
    assert first.bounding_box()["y"] + first.bounding_box()["height"] < WIDE["height"]
    expect(first.locator("h2")).to_have_text("Llama-2-7B-chat")
    expect(first.locator(".big")).to_contain_text("1.4")
    expect(first).to_contain_text("mii, float16: 4.00 [4.00, 4.00] tokens/s")
    expect(first).to_contain_text("transformers, float16, HOW=slowly: 2.81")
    expect(first.locator(".outcome")).to_have_text("inconclusive: the interval contains 1")
    expect(first.locator(".doubts")).to_contain_text("not_idle")
    assert shown.page.locator("main").bounding_box()["y"] < WIDE["height"]
    shown.choose("Other GPU")
    assert tiles.filter(visible=True).locator("h2").all_inner_texts() == ["mistral (random weights)"]


def test_a_table_is_sorted_by_the_column_that_is_clicked(shown):
    table = shown.page.locator("#sweep table[data-sortable]").first
    shown.page.locator("#sweep summary", has_text="Every point").click()
    head = table.locator("th", has_text="prefill")
    column = table.locator("th").all_inner_texts().index("prefill") + 1
    cells = table.locator(f"tbody td:nth-child({column})")
    before = cells.all_inner_texts()
    numbers = [text for text in before if re.match(r"[\d.]", text)]
    others = [text for text in before if text not in numbers]
    assert len(numbers) > 1 and others
    upwards = sorted(numbers, key=lambda text: float(text.split()[0].replace(",", "")))
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), cells.all_inner_texts()) == ("ascending", [*upwards, *others])
    head.locator("button").press("Enter")
    assert cells.all_inner_texts()[: len(numbers)] == upwards[::-1]
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), cells.all_inner_texts()) == (None, before)


def test_a_single_result_needs_no_filter(browser, tmp_path):
    measured(result()).save(tmp_path / "one.json")
    page = tmp_path / "one.html"
    page.write_text(html.render(evidence.read([tmp_path / "one.json"])), encoding="utf-8")
    context = browser.new_context()
    shown = Shown(context.new_page(), page)
    assert shown.problems == []
    assert shown.page.locator(".filter").count() == 0
    assert shown.page.locator("nav a", has_text="Batches").count() == 0
    context.close()


def test_the_same_files_give_the_same_page(report):
    files = sorted(report.parent.glob("*.json"))
    assert html.render(evidence.read(files)) == html.render(evidence.read(files))


def test_the_command_writes_the_page(bench, report):
    done = bench("report", report.parent / "result.json", "--format", "html", "--output", "page.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote page.html\n", "")
    assert (bench.cwd / "page.html").read_text().startswith("<!doctype html>")
