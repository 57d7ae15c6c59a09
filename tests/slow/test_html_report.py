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
from playwright.sync_api import Browser, Page, expect, sync_playwright
from results import ab, folder_of_every_kind, measured, result

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
SPEED, WIDE = "[id$='-speed']", {"width": 1280, "height": 900}


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
        page.wait_for_selector(f"{SPEED} .main-svg")

    def style(self, selector: str, name: str) -> str:
        return self.page.eval_on_selector(selector, "(element, name) => getComputedStyle(element)[name]", name)

    def choose(self, value: str) -> None:
        self.page.locator(f"input[value='{value}']").check(force=True)

    def visible_engines(self) -> set[str]:
        """Those in the first column of the tables of speeds."""
        cells = self.page.locator("#result-groups tbody tr:visible td:first-child")
        return set(cells.all_inner_texts())

    def drawn(self, selector: str) -> list[int]:
        """How many traces each visible figure of a kind has."""
        found = self.page.locator(f"{selector}:visible")
        return [len(data) for data in found.evaluate_all("places => places.map(place => place.data)")]


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
    assert titles[:2] == ["Speed", "Latency"] and titles[-4:] == ["A/B", "Batches", "Load", "Quality"]
    for kind, count in {"speed": 2, "ttft": 1, "tpot": 1, "decode": 1, "throughput": 1, "load": 1, "ab": 1}.items():
        expect(shown.page.locator(f"[id$='-{kind}'] .main-svg >> nth=0")).to_be_visible()
        assert shown.page.locator(f"[id$='-{kind}']").count() == count
    text = shown.page.locator("body").inner_text()
    for name in ("result.json", "random.json", "quality.json", "sweep.json", "load.json", "ab.json"):
        assert name in text
    assert "2.25 [-7.28, 11.78]" in text
    assert "host-bound: the GPU idles 75% of each decode step" in text
    assert "Stopped at 4 clients: half of the requests failed." in text
    assert "model server 75%, load balancer 25%" in text
    assert "3 of 11 requests waited for room in the KV cache" in text
    assert "Refused: transformers float16, batch 4: 128 + 17 tokens: it does not fit" in text


def test_what_is_random_or_not_measured_stands_beside_the_number(shown):
    row = shown.page.locator("#result-groups article", has_text="mistral (random weights)").locator("tbody tr")
    assert "3.00 [not measured]" in row.inner_text()
    figure = shown.page.locator(f"{SPEED} .annotation-text", has_text="random weights")
    assert figure.count() == 1
    assert "Not measured of 2 further results" in shown.page.locator("#result-latencies").inner_text()


def test_warnings_have_their_figure_and_remedy(shown):
    card = shown.page.locator(".card").first
    card.locator("summary").first.click()
    expect(card.locator(".findings")).to_contain_text("few_samples")
    expect(card.locator(".findings")).to_contain_text("2 processes with 2 valid repetitions")
    expect(card.locator(".findings")).to_contain_text("Remedy: --processes 3 -r 5 or more.")
    expect(card).to_contain_text("580.1")


def test_the_filter_acts_on_tables_and_figures_alike(shown):
    assert shown.visible_engines() == {"mii", "transformers"}
    assert (shown.drawn(SPEED), shown.drawn("[id$='-throughput']")) == ([4, 2], [4])
    shown.choose("transformers")
    assert shown.visible_engines() == {"transformers"}
    assert shown.drawn(SPEED) == [2]
    assert shown.drawn("[id$='-throughput']") == [3]  # its line and the two limits, which all engines share
    expect(shown.page.locator("#load-parts")).to_be_hidden()
    expect(shown.page.locator("#shown")).to_have_text("Shown: transformers.")
    shown.choose("bfloat16")
    expect(shown.page.locator("#sweep-parts")).to_be_hidden()
    shown.page.get_by_role("button", name="Show everything").click()
    expect(shown.page.locator("#load-parts")).to_be_visible()
    assert shown.visible_engines() == {"mii", "transformers"}
    assert shown.drawn(SPEED) == [4, 2]
    assert shown.problems == []


def test_a_choice_that_nothing_meets_says_so(shown):
    shown.choose("Other GPU")
    shown.choose("bfloat16")
    expect(shown.page.locator("#nothing")).to_be_visible()
    assert shown.page.locator("main > section:visible").count() == 0


def test_the_filter_works_from_the_keyboard(shown):
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.className") == "skip"
    shown.page.locator("input[value='transformers']").focus()
    shown.page.keyboard.press("Space")
    assert shown.visible_engines() == {"transformers"}
    ring = "input[value='transformers'] + span"
    assert shown.style(ring, "outlineStyle") == "solid"
    assert shown.page.locator(".scroll").first.get_attribute("tabindex") == "0"


def test_hovering_over_a_sample_tells_its_value_and_process(shown):
    shown.page.locator(f"{SPEED} .points path").first.scroll_into_view_if_needed()
    box = shown.page.locator(f"{SPEED} .points path").first.bounding_box()
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = shown.page.locator(f"{SPEED} .hovertext").first
    expect(hover).to_contain_text("process 1, sample 1 of 2")
    expect(hover).to_contain_text("4 tokens/s")


def test_a_comparison_has_its_verdict_pairs_warnings_and_rounds(shown):
    part = shown.page.locator("#ab-parts article").nth(1)
    expect(part.locator("h3")).to_have_text("Llama-2-7B-chat: mii, float16 against transformers, float16")
    expect(part.locator(".verdict")).to_contain_text("No difference shown: B ∕ A is 0.7")
    cells = part.locator("tbody tr").all_inner_texts()
    assert cells[0].startswith("A\tmii, float16\t4.00 [4.00, 4.00]")
    assert cells[1].startswith("B\ttransformers, float16, HOW=slowly\t2.85 [")
    assert [row.split("\t")[:3] for row in cells[2:4]] == [["1", "4.00", "3.20"], ["2", "4.00", "2.50"]]
    expect(part.locator(".findings")).to_contain_text("not_idle B kept up to 0.50 CPUs busy while the other was timed")
    part.locator("summary", has_text="Raw samples").click()
    rounds = part.locator("details[open] tbody tr").all_inner_texts()
    assert [row.split("\t")[:3] for row in rounds] == [
        [p, r, first] for p in "12" for r, first in (("1", "A"), ("2", "B"))
    ]
    part.locator("summary", has_text="Environment").click()
    expect(part).to_contain_text("580.1")


def test_the_ratios_stand_around_a_line_at_1(shown):
    figure = shown.page.locator("[id$='-ab']")
    drawn = figure.evaluate("place => [place.data, place._fullLayout.xaxis.range, place.layout.shapes]")
    (dots, mean), (low, high), (line,) = drawn
    assert dots["x"] == pytest.approx([1 / 1.25, 1 / 1.6])
    assert mean["x"] == pytest.approx([1 / math.sqrt(2)])
    assert (line["x0"], line["x1"]) == (1, 1) and low < 1 < high
    figure.locator(".points path").first.scroll_into_view_if_needed()
    box = figure.locator(".points path").first.bounding_box()
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(figure.locator(".hovertext").first).to_contain_text("pair 1 of 2: 0.80")
    expect(figure.locator(".hovertext").first).to_contain_text("0.8 times A's tokens/s")


def test_a_comparison_is_there_for_either_side_and_whole(shown):
    for engine in ("mii", "transformers"):
        shown.choose(engine)
        assert shown.drawn("[id$='-ab']") == [2]
        assert shown.page.locator("#ab-parts article").nth(1).locator("tbody tr:visible").count() == 2 + 3
        shown.page.get_by_role("button", name="Show everything").click()
    shown.choose("bfloat16")
    expect(shown.page.locator("#ab-parts")).to_be_hidden()


def test_a_comparison_without_a_round_says_how_it_ended(browser, tmp_path):
    failed = ab()
    failed.a.runs, failed.b.runs, failed.rounds = [], [], []
    failed.status, failed.error = "failed", "B: no such thing"
    failed.save(tmp_path / "ab.json")
    page = tmp_path / "ab.html"
    page.write_text(html.render(evidence.read([tmp_path / "ab.json"])), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(page.as_uri())
    expect(opened.locator("#ab-parts")).to_contain_text(
        "Failed (B: no such thing): not all that was asked for is here."
    )
    expect(opened.locator(".verdict")).to_have_text("No verdict: no round is valid.")
    assert opened.locator(".plot").count() == 0
    opened.close()


def test_a_card_tells_what_came_before_the_repetitions(browser, tmp_path):
    compiled = result(processes=2)
    compiled.runs[0].compile_s, compiled.runs[0].steady = 50.0, True
    compiled.save(tmp_path / "one.json")
    page = tmp_path / "one.html"
    page.write_text(html.render(evidence.read([tmp_path / "one.json"])), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(page.as_uri())
    opened.locator(".card summary").first.click()
    rows = opened.locator(".card table").first.locator("tbody tr").all_inner_texts()
    assert rows == ["1\t1.0 s\tnot measured\t50.0 s\t0, then steady", "2\t1.0 s\tnot measured\tnone\t0"]
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_of_series_are_told_from_each_other_and_carry_figures(browser, report, scheme):
    context = browser.new_context(color_scheme=scheme)
    shown = Shown(context.new_page(), report)
    names = ["--on-series", "--card", *(f"--series-{n}" for n in range(8))]
    read = "names => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))"
    on, card, *series = [hexadecimal(colour) for colour in shown.page.evaluate(read, names)]
    for colour in series:
        assert contrast(colour, on) >= 4.5
        assert contrast(colour, card) >= 3.0
    for one, other in itertools.combinations(series, 2):
        assert math.dist(channels(one), channels(other)) >= 45, (one, other)
    context.close()


def hexadecimal(colour: str) -> str:
    """ "#0072b2" as "rgb(…)"."""
    return f"rgb({', '.join(str(int(colour.strip()[n : n + 2], 16)) for n in (1, 3, 5))})"


def test_a_link_to_the_evidence_opens_its_card(shown):
    shown.page.locator("#result-groups td a", has_text="other.json").click()
    expect(shown.page.locator("details.card", has_text="other.json")).to_have_attribute("open", "")


def test_what_a_file_says_is_text_and_nothing_else(shown):
    shown.page.locator(".card", has_text="mistral").locator("summary").first.click()
    expect(shown.page.locator("dd", has_text="<script>")).to_have_text(HOSTILE)
    assert shown.page.evaluate("window.broken") is None
    assert shown.page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(browser, report, scheme):
    context = browser.new_context(viewport=WIDE, color_scheme=scheme)
    shown = Shown(context.new_page(), report)
    card, page = shown.style("article", "backgroundColor"), shown.style("body", "backgroundColor")
    for selector, behind in (("body", page), (".lead", page), ("article h3", card), ("article .note", card)):
        assert contrast(shown.style(selector, "color"), behind) >= 4.5, selector
    for selector in (f"{SPEED} .annotation-text", f"{SPEED} .xtick text"):
        assert contrast(shown.style(selector, "fill"), card) >= 4.5, selector
    for trace in shown.page.eval_on_selector("[id$='-decode']", "place => place.data.map(bar => bar.marker.color)"):
        assert trace == "" or trace.startswith("#")
    dots = shown.page.eval_on_selector_all(f"{SPEED} .points path", "dots => dots.map(d => getComputedStyle(d).fill)")
    assert min(contrast(fill, card) for fill in dots if fill != "none") >= 3.0
    context.close()


def test_the_dark_page_is_dark_and_follows_a_change(shown):
    light = [shown.style("body", "backgroundColor"), shown.style(f"{SPEED} .xtick text", "fill")]
    shown.page.emulate_media(color_scheme="dark")
    expect(shown.page.locator("body")).not_to_have_css("background-color", light[0])
    shown.page.wait_for_function(
        "([selector, fill]) => getComputedStyle(document.querySelector(selector)).fill !== fill",
        arg=[f"{SPEED} .xtick text", light[1]],
    )
    dark = [shown.style("body", "backgroundColor"), shown.style(f"{SPEED} .xtick text", "fill")]
    for darker, lighter in ((dark[0], light[0]), (light[1], dark[1])):
        assert sum(channels(darker)) < 150
        assert sum(channels(lighter)) > 600


def test_on_a_narrow_window_only_boxes_scroll(browser, report):
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    shown = Shown(context.new_page(), report)
    page = shown.page
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.eval_on_selector(".scroll", "box => box.scrollWidth > box.clientWidth")
    plots = page.locator(".plot:visible").evaluate_all("all => all.map((plot) => plot.getBoundingClientRect().right)")
    assert max(plots) <= 390
    labels = [
        (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        for label in page.locator(".plot .annotation-text").all()
        if (box := label.bounding_box())
    ]
    assert len(labels) == 2 * (3 + 1 + 1 + 1 + 1)  # speed, TTFT, TPOT, decode, A/B
    assert max(right for _, _, right, _ in labels) <= 390
    crossing = [
        (one, other)
        for n, one in enumerate(labels)
        for other in labels[n + 1 :]
        if one[0] < other[2] and other[0] < one[2] and one[1] + 1 < other[3] and other[1] + 1 < one[3]
    ]
    assert crossing == []
    context.close()


def test_on_paper_all_is_open_light_and_as_wide_as_the_paper(browser, report):
    context = browser.new_context(viewport=WIDE, color_scheme="dark")
    shown = Shown(context.new_page(), report)
    shown.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert shown.page.locator("details:not([open])").count() == 0
    assert shown.page.locator(f"{SPEED} .main-svg").first.bounding_box()["width"] < 44 * 16
    shown.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert shown.page.locator("details[open]").count() == 0
    shown.page.emulate_media(media="print")
    assert channels(shown.style("body", "backgroundColor")) == [255, 255, 255]
    expect(shown.page.locator(".filter")).to_be_hidden()
    context.close()


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
