"""The main results on the HTML page: speed, latency, profiles, and a card for each with all that must be known."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from markupsafe import Markup

from bench_deepspeed.core.text import NOT_MEASURED
from bench_deepspeed.measure import metrics
from bench_deepspeed.measure import warnings as checks
from bench_deepspeed.measure.records import Profile, Result
from bench_deepspeed.measure.statistics import process_speeds, speed_interval
from bench_deepspeed.report import charts_plotly
from bench_deepspeed.report.html_page import Page, environment, findings, table
from bench_deepspeed.results import documents
from bench_deepspeed.results.files import Item

from . import profile_charts, view
from . import profile_view as profile_report
from .rows import LEGEND, details, figures, interval, is_random, mean, ms


@dataclass(frozen=True)
class Shown:
    """One main result as the page shows it."""

    item: Item
    number: int
    key: int
    row: dict[str, str]

    @property
    def result(self) -> Result:
        return self.item.content

    @property
    def name(self) -> str:
        """What tells it from others in a figure of many models."""
        return f"{self.row['model']} · {self.row['engine']}, {self.row['precision']}"

    @property
    def note(self) -> str:
        """Where, and with how many tokens."""
        return f"{self.row['device']} · {self.row['prompt + new tokens']} tokens"

    @property
    def link(self) -> Markup:
        """The evidence's name, which leads to the card."""
        return Markup('<a href="#card-{}"><code>{}</code></a>').format(self.number, self.item.name)


def results(items: list[Item], page: Page) -> dict:
    """Speed by model, then latency, profiles, what each speed is made of, and a card for each result."""
    shown = [_shown(item, number, page) for number, item in enumerate(_ordered(items), 1)]
    engines = list(dict.fromkeys(one.row["engine"] for one in shown))
    colours = {engine: charts_plotly.SERIES[n % len(charts_plotly.SERIES)] for n, engine in enumerate(engines)}
    titles = dict.fromkeys(one.row["model"] for one in shown)
    by_model = {title: [one for one in shown if one.row["model"] == title] for title in titles}
    return {
        "groups": [_group(title, found, colours, page) for title, found in by_model.items()],
        "legend": LEGEND,
        "latencies": _latencies(shown, colours, page),
        "steps": _steps(shown, page),
        "details": table([([one.key], {**_name(one), **details(one.result)}) for one in shown]),
        "cards": [_card(one) for one in shown],
    }


def _ordered(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: documents.Evidence(item.path, item.content).order())


def _shown(item: Item, number: int, page: Page) -> Shown:
    row = figures(item.content)
    return Shown(item, number, page.key(row["model"], row["engine"], item.machine, row["precision"]), row)


def _name(one: Shown) -> dict[str, str]:
    return {title: one.row[title] for title in ("model", "engine", "precision", "device")}


def _group(title: str, shown: list[Shown], colours: dict[str, str], page: Page) -> dict:
    lines = [_speed(one, colours) for one in shown if one.result.valid_samples]
    titles = [title for title in shown[0].row if title != "model"]
    cells = [([one.key], {**{t: one.row[t] for t in titles}, "evidence": one.link}) for one in shown]
    says = "; ".join(f"{line.label}: {line.value} {line.aside}" for line in lines)
    said = dict.fromkeys(text for one in shown for text in documents.notes(one.result))
    figure = charts_plotly.strip(lines, "tokens/s") if lines else None
    return {
        "title": title,
        "keys": sorted({one.key for one in shown}),
        "notes": list(said),
        "plot": page.plot("speed", figure, f"Tokens per second of {title}. {says}"),
        "table": table(cells),
    }


def _speed(one: Shown, colours: dict[str, str]) -> charts_plotly.Line:
    found = speed_interval(one.result)
    samples = [
        (speed, process, f"process {process + 1}, sample {index} of {len(speeds)}")
        for process, speeds in enumerate(process_speeds(one.result))
        for index, speed in enumerate(speeds, 1)
    ]
    return charts_plotly.Line(
        keys=[one.key],
        name=f"row-{one.number}",
        label=f"{one.row['engine']}, {one.row['precision']}" + (", random weights" if is_random(one.result) else ""),
        note=f"{one.note}, n {one.row['n']}",
        value=f"{mean(one.result)} tokens/s",
        aside=interval(one.result),
        mean=found.mean,
        samples=samples,
        low=found.low,
        high=found.high,
        warnings="" if one.row["warnings"] == "none" else one.row["warnings"],
        colour=colours[one.row["engine"]],
    )


def _latencies(shown: list[Shown], colours: dict[str, str], page: Page) -> list[dict]:
    """TTFT and TPOT, each a figure of the results that have it."""
    found = []
    for title, seconds_of in (("TTFT", _ttft), ("TPOT", _tpot)):
        measured = [(one, seconds) for one in shown if (seconds := seconds_of(one.result))]
        lines = [_latency(one, seconds, colours) for one, seconds in measured]
        says = f"{title}. " + "; ".join(f"{line.label}: {line.value} {line.aside}" for line in lines)
        if lines:
            left_out = len(shown) - len(lines)
            plot = page.plot(title.lower(), charts_plotly.strip(lines, f"{title}, ms"), says)
            found.append({"title": title, "plot": plot, "left_out": left_out})
    return found


def _latency(one: Shown, seconds: list[float], colours: dict[str, str]) -> charts_plotly.Line:
    average = statistics.fmean(seconds)
    return charts_plotly.Line(
        keys=[one.key],
        name=f"row-{one.number}",
        label=one.name,
        note=one.note,
        value=ms(average),
        aside=one.result.latency.method,
        mean=1e3 * average,
        samples=[(1e3 * s, 0, f"generation {n} of {len(seconds)}") for n, s in enumerate(seconds, 1)],
        colour=colours[one.row["engine"]],
    )


def _ttft(result: Result) -> list[float]:
    return result.latency.ttft_s if result.latency else []


def _tpot(result: Result) -> list[float]:
    """TPOT of each generation, of those that have a mean."""
    latency, new_tokens = result.latency, result.scenario.max_tokens
    return metrics.tpot_s(latency, new_tokens) if latency and metrics.mean_tpot_s(latency, new_tokens) else []


def _steps(shown: list[Shown], page: Page) -> list[dict]:
    """Where a step's time goes: a figure a phase, of the results that were profiled."""
    found = []
    for phase in ("decode", "prefill"):
        lines = [
            (_step(one, profile), profile)
            for one in shown
            for profile in one.result.profiles
            if profile.phase == phase and profile.busy_s is not None
        ]
        states = [(line.keys, f"{line.label}, {line.note}", profile_report.state(profile)) for line, profile in lines]
        if lines:
            says = "; ".join(f"{of}: {state}" for _, of, state in states)
            plot = page.plot(phase, profile_charts.steps(lines), f"Parts of a {phase} step. {says}")
            found.append({"title": phase, "plot": plot, "states": states, "left_out": len(shown) - len(lines)})
    return found


def _step(one: Shown, profile: Profile) -> charts_plotly.Line:
    aside = "a step" if profile.phase == "decode" else f"for {profile.prompt_tokens} tokens"
    name, value = f"row-{one.number}", ms(profile.step_s)
    return charts_plotly.Line([one.key], name, one.name, one.note, value, aside, mean=profile.step_s, samples=[])


def _card(one: Shown) -> dict:
    """All that must be known of a result, and its raw samples."""
    result, scenario = one.result, one.result.scenario
    warnings = findings(checks.check(result))
    if result.limits is None:
        warnings.append({"code": "no_limits", "text": documents.UNHELD, "remedy": "measure it anew"})
    asked = {"prompt": scenario.prompt, "warm-ups": _or_steady(scenario.warmups), "seed": str(scenario.seed)}
    asked |= {"started": result.started_at, "status": result.status}
    return {
        "number": one.number,
        "key": one.key,
        "title": view.title(result),
        "speed": f"{one.row['tokens/s']}",
        "notes": documents.notes(result),
        "findings": warnings,
        "asked": asked,
        "environment": environment(result.environment),
        "processes": table([([one.key], cells) for cells in _processes(result)]),
        "samples": table([([one.key], cells) for cells in _samples(result)]),
        "evidence": one.item,
    }


def _processes(result: Result) -> list[dict[str, str]]:
    """Column title → cell of each process: what came before its repetitions."""
    return [
        {
            "process": str(process),
            "load": _seconds(run.load_s),
            "kernels built": _seconds(run.kernel_build_s),
            "model compiled": "none" if run.compile_s is None else _seconds(run.compile_s),
            "warm-ups": str(len(run.warmups)) + {True: ", then steady", False: ", not steady", None: ""}[run.steady],
        }
        for process, run in enumerate(result.runs, 1)
    ]


def _seconds(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f} s"


def _samples(result: Result) -> list[dict[str, str]]:
    """Column title → cell of each repetition."""
    return [
        {
            "process": str(process),
            "sample": str(index),
            "seconds": f"{sample.seconds:.6f}",
            "tokens": str(sample.new_tokens),
            "tokens/s": f"{sample.tokens_per_s:.3f}",
            "counted": "no: void" if sample.is_void(result.scenario) else "yes",
        }
        for process, run in enumerate(result.runs, 1)
        for index, sample in enumerate(run.samples, 1)
    ]


def _or_steady(warmups: int | None) -> str:
    return "until steady" if warmups is None else str(warmups)
