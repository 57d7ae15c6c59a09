"""CSV and JSON lines: raw numbers in flat columns, one line a result, or one a sample. `columns` says what each is."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict

from .. import catalog, checks, metrics
from ..ab import checks as ab_checks
from ..ab import estimate
from ..ab.schema import AbResult
from ..engines import engine_class
from ..load import metrics as load_metrics
from ..load.records import Level, LoadResult
from ..load.saturation import judge
from ..quality.schema import Quality
from ..quality.verdict import Measures, floor_of, measures, verdict_of
from ..schema import Result, Sample
from ..stats import speed_interval, summarize
from ..sweep import derived
from ..sweep.schema import SweepResult, SweepScenario
from . import ab as ab_report
from . import columns, profile
from . import sweep as sweep_report
from .evidence import Item, asked

Row = dict[str, object]


def of(item: Item) -> list[Row]:
    """The lines of a file: one a result or comparison; a scenario of a sweep, a level of a load test, a precision of
    a check of answers."""
    whole = identity(item)
    found = [{**whole, **row} for row in ROWS[item.kind](item.content)]
    return [{name: row[name] for name in columns.KINDS[item.kind]} for row in found]


def samples_of(item: Item) -> list[Row]:
    """Every raw sample of a file, in the order they happened; a check of answers has none."""
    found = SAMPLES[item.kind](item.content) if item.kind in SAMPLES else []
    whole = {name: value for name, value in identity(item).items() if name in columns.IDENTITY}
    return [{**dict.fromkeys(columns.SAMPLES), **whole, **row} for row in found]


def as_csv(found: list[Row], names: Iterable[str]) -> str:
    """A header and the lines, RFC 4180 with plain line ends; a cell without a value is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return file.getvalue()


def as_jsonl(found: list[Row]) -> str:
    """One JSON object a line; what is not measured, or no number at all (a NaN), is null."""
    return "".join(json.dumps({n: _finite(v) for n, v in row.items()}, ensure_ascii=False) + "\n" for row in found)


def header(items: list[Item], samples: bool) -> list[str]:
    """The columns that a CSV of these files needs, each once."""
    kinds = ["samples"] if samples else dict.fromkeys(item.kind for item in items)
    return list(dict.fromkeys(name for kind in kinds for name in columns.KINDS[kind]))


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def identity(item: Item) -> Row:
    """What tells one line from another; an engine or precision that varies within a file stands in its rows."""
    content = item.content
    facts = content.environment
    wanted = asked(content)
    packages = facts.get("packages", {})
    return {
        "file": item.name,
        "kind": item.kind,
        "status": content.status,
        "started_at": content.started_at if isinstance(content.started_at, str) else content.started_at[0],
        "model": wanted.get("model"),
        "weights": wanted.get("weights"),
        "engine": wanted.get("engine"),
        "device": wanted["device"],
        "device_name": item.machine,
        "precision": wanted.get("precision"),
        "suite_commit": facts.get("commit"),
        **{name: packages.get(name.replace("_", "-")) for name in columns.MACHINE},
    }


def _result_rows(result: Result) -> list[Row]:
    samples = result.valid_samples
    speed = summarize([sample.tokens_per_s for sample in samples])
    loads = [run.load_s for run in result.runs if run.load_s is not None]
    memory = result.memory
    row = {
        **_speed(result),
        "max_tokens": result.scenario.max_tokens,
        "processes": len(result.runs),
        "repetitions": len(samples),
        "void_repetitions": result.void_count,
        "tokens_per_s_median": speed and speed.median,
        "tokens_per_s_min": speed and speed.minimum,
        "tokens_per_s_max": speed and speed.maximum,
        "load_s": statistics.fmean(loads) if loads else None,
        "compile_s": _compile_s(result),
        **_latency(result),
        **_utilization(result),
        **_step(result),
    }
    parts = ("weights", "kv_pool", "kv_used", "workspace", "device_peak", "driver", "host_peak")
    row |= {f"{part}_bytes": memory.get(f"{part}_bytes") for part in parts}
    row["energy_j_per_token"] = result.energy and metrics.joules_per_token(result.energy)
    row["power_w"] = result.energy and metrics.mean_power_w(result.energy)
    return [{**row, "warnings": " ".join(finding.code for finding in checks.check(result))}]


def _compile_s(result: Result) -> float | None:
    return result.runs[0].compile_s if result.runs else None


def _speed(result: Result) -> Row:
    samples, interval = result.valid_samples, speed_interval(result)
    speed = summarize([sample.tokens_per_s for sample in samples])
    return {
        "prompt_tokens": samples[0].prompt_tokens if samples else None,
        "tokens_per_s_mean": interval and interval.mean,
        "tokens_per_s_low": interval and interval.low,
        "tokens_per_s_high": interval and interval.high,
        "tokens_per_s_std": speed and speed.std,
    }


def _latency(result: Result) -> Row:
    latency = result.latency
    itl = (metrics.itl_s(latency) if latency else None) or {}
    return {
        "latency_method": latency and latency.method,
        "ttft_s": latency and metrics.ttft_s(latency),
        "tpot_s": latency and metrics.mean_tpot_s(latency, result.scenario.max_tokens),
        **{f"itl_p{percent}_s": itl.get(percent) for percent in (50, 90, 99)},
    }


def _utilization(result: Result) -> Row:
    spec, prefill, limits = catalog.load(result.scenario.model), result.prefill, result.limits
    mfu, mbu = metrics.mfu(result, spec), metrics.mbu(result, spec)
    return {
        "prefill_tokens": prefill and prefill.prompt_tokens,
        "prefill_s": statistics.fmean(prefill.seconds) if prefill and prefill.seconds else None,
        "mfu": mfu and mfu.value,
        "mbu": mbu and mbu.value,
        "mbu_source": mbu and mbu.source,
        "limit_bytes_per_s": limits and limits.bytes_per_s,
        "limit_flops_per_s": limits and limits.matmul_flops_per_s,
    }


def _step(result: Result) -> Row:
    found = next((one for one in result.profiles if one.phase == "decode"), None)
    return {
        "decode_step_s": found and found.step_s,
        "decode_busy_s": found and found.busy_s,
        "decode_idle_s": found and profile.idle_s(found),
    }


def _quality_rows(quality: Quality) -> list[Row]:
    own_kernels = engine_class(quality.engine).own_kernels
    found = []
    for candidate in quality.candidates:
        engine = measures(candidate["engine"])
        verdict = verdict_of(candidate, own_kernels)
        row = {
            "precision": candidate["precision"],
            "questions": engine.questions,
            "exact_answers": engine.exact_matches,
            "first_difference": engine.first_difference,
            "edit_similarity": engine.edit_similarity,
            "answer_gap": engine.answer_gap,
            **_distances(engine, ""),
            **_distances(floor_of(candidate["floor"], engine), "floor_"),
        }
        found.append({**row, "within_noise_floor": verdict["ok"], "verdict": verdict["words"]})
    return found


def _distances(found: Measures, of_what: str) -> Row:
    cells = {
        f"{of_what}{place}_{n}": v for place in ("early", "late") for n, v in asdict(getattr(found, place)).items()
    }
    return {name: value for name, value in cells.items() if name in columns.QUALITY}


def _sweep_rows(sweep: SweepResult) -> list[Row]:
    return [_sweep_row(sweep, scenario) for scenario in sweep.scenarios]


def _sweep_row(sweep: SweepResult, scenario: SweepScenario) -> Row:
    shown = scenario.status == "complete"  # what is impossible is never shown as a speed
    rate = derived.decode_rate(scenario) if shown else None
    spec, limits = catalog.load(sweep.settings.model), derived.limits_of(sweep, scenario)
    return {
        "status": scenario.status,
        "engine": scenario.engine,
        "precision": scenario.precision,
        "batch_size": scenario.batch_size,
        "prompt_tokens": scenario.prompt_tokens,
        "max_tokens": scenario.max_tokens,
        "repetitions": len(scenario.total),
        "reason": scenario.reason,
        "prefill_s": derived.mean_s(scenario.prefill) if shown else None,
        "decode_tokens_per_s": rate and rate.tokens_per_s,
        "decode_tokens_per_s_error": rate and rate.standard_error,
        "memory_limit_tokens_per_s": limits and derived.memory_limit(spec, scenario, limits),
        "compute_limit_tokens_per_s": limits and derived.compute_limit(spec, limits),
        "tokens_per_s": derived.overall_tokens_per_s(scenario) if shown else None,
        "warnings": " ".join(sweep_report.warnings(sweep, scenario)),
    }


def _load_rows(result: LoadResult) -> list[Row]:
    return [{"target": result.target["name"], **_level(level, result.sla)} for level in result.levels]


def _level(level: Level, sla: dict[str, float | None]) -> Row:
    found = load_metrics.figures(level, sla)
    verdict = judge(level) if level.rate is not None else None
    latencies = {"e2e": found.e2e_s, "ttft": found.ttft_s, "tpot": found.tpot_s, "itl": found.itl_s}
    return {
        "clients": level.clients,
        "rate_per_s": level.rate,
        **{name: getattr(found, name) for name in ("due", "failed", "offered_per_s", "requests_per_s", "tokens_per_s")},
        **{f"{n}_p{p}_s": (cells or {}).get(f"p{p}") for n, cells in latencies.items() for p in (50, 90, 95, 99)},
        "goodput_per_s": found.good_per_s,
        **{f"effective_{rate}_per_s": value for rate, value in found.effective_per_s.items()},
        "lag_p99_s": found.lag_p99_s,
        "generator_cpu_share": level.generator_cpu_share,
        "server_cpu_share": sum(level.server_cpu_share.values()) if level.server_cpu_share else None,
        "server_cpu_share_max": max(level.server_cpu_share.values(), default=None),
        "waited_for_kv": level.waited_for_kv,
        "saturated": verdict.saturated if verdict and verdict.slope is not None else None,
        "remarks": "; ".join(found.remarks),
    }


def _ab_rows(result: AbResult) -> list[Row]:
    logs = estimate.log_ratios(result)
    found = estimate.ratio(logs)
    row = {
        "max_tokens": result.a.scenario.max_tokens,
        "pairs": sum(map(bool, logs)),
        "rounds": sum(map(len, logs)),
        "ratio": found and found.value,
        "ratio_low": found and found.low,
        "ratio_high": found and found.high,
        "faster": estimate.faster(found),
        "verdict": estimate.sentence(found),
    }
    for side, of in result.sides.items():
        asked_of = {name: getattr(of.scenario, name) for name in ("model", "weights", "engine", "precision")}
        configuration = ab_report.configuration(result, side)
        cells = {**asked_of, "configuration": configuration, **_speed(of), "compile_s": _compile_s(of)}
        row |= {f"{side.lower()}_{name}": value for name, value in cells.items()}
    return [{**row, "warnings": " ".join(finding.code for finding in ab_checks.check(result))}]


def _sample(sample: Sample, place: tuple[str, int, int], valid: bool, batch_size: int = 1) -> Row:
    phase, group, index = place
    reading = sample.reading
    return {
        "phase": phase,
        "group": group,
        "index": index,
        "batch_size": batch_size,
        "prompt_tokens": sample.prompt_tokens,
        "new_tokens": sample.new_tokens,
        "seconds": sample.seconds,
        "tokens_per_s": batch_size * sample.tokens_per_s,
        "valid": valid,
        "sm_clock_mhz": reading and reading.sm_clock_mhz,
        "temperature_c": reading and reading.temperature_c,
        "other_cpus_busy": reading and reading.other_cpus_busy,
    }


def _result_samples(result: Result) -> list[Row]:
    return [
        _sample(sample, (phase, group, index), phase == "timed" and not sample.is_void(result.scenario))
        for group, run in enumerate(result.runs, 1)
        for phase, series in (("warmup", run.warmups), ("timed", run.samples))
        for index, sample in enumerate(series, 1)
    ]


def _ab_samples(result: AbResult) -> list[Row]:
    """Those of A, then those of B; a round is valid or void as a whole."""
    void = {
        (pair, number)
        for of in result.sides.values()
        for pair, run in enumerate(of.runs, 1)
        for number, sample in enumerate(run.samples, 1)
        if sample.is_void(of.scenario)
    }
    found = []
    for side, of in result.sides.items():
        asked_of = {name: getattr(of.scenario, name) for name in ("model", "weights", "engine", "precision")}
        for row in _result_samples(of):
            valid = row["valid"] and (row["group"], row["index"]) not in void
            found.append({**row, **asked_of, "side": side, "valid": valid})
    return found


def _sweep_samples(sweep: SweepResult) -> list[Row]:
    return [
        {
            **_sample(sample, (phase, group, index), scenario.status == "complete", scenario.batch_size),
            "engine": scenario.engine,
            "precision": scenario.precision,
        }
        for group, scenario in enumerate(sweep.scenarios, 1)
        for phase, series in (("prefill", scenario.prefill), ("total", scenario.total))
        for index, sample in enumerate(series, 1)
    ]


def _load_samples(result: LoadResult) -> list[Row]:
    """Requests; of one that failed neither time nor speed."""
    found = []
    for group, level in enumerate(result.levels, 1):
        for index, record in enumerate(level.records, 1):
            seconds = load_metrics.e2e(record) if record.error is None else None
            row = {"phase": "request", "group": group, "index": index, "batch_size": 1, "seconds": seconds}
            row |= {"prompt_tokens": record.prompt_tokens, "new_tokens": record.new_tokens}
            row["tokens_per_s"] = record.new_tokens / seconds if seconds else None
            found.append({**row, "valid": record.error is None})
    return found


ROWS: dict[str, Callable[..., list[Row]]] = {
    "result": _result_rows,
    "quality": _quality_rows,
    "sweep": _sweep_rows,
    "load": _load_rows,
    "ab": _ab_rows,
}
"""Kind of file → its lines, without what identifies them."""
SAMPLES: dict[str, Callable[..., list[Row]]] = {
    "result": _result_samples,
    "sweep": _sweep_samples,
    "load": _load_samples,
    "ab": _ab_samples,
}
