"""What a sweep consists of: its settings, the product of its lists, and which scenarios are impossible."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections import Counter
from pathlib import Path

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.common import precisions, questions, tensor_parallel
from bench_deepspeed.benchmarks.common.scenario import METAL, MODEL, WORKSPACE_BYTES
from bench_deepspeed.core import capabilities
from bench_deepspeed.core.errors import UsageError, named
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.engines import DEFAULT_ENGINES, engine_class
from bench_deepspeed.machine.environment import default_device, require_gpu
from bench_deepspeed.model import catalog
from bench_deepspeed.model.catalog import ModelSpec

from .records import SweepResult, SweepScenario, SweepSettings, Visit, load_title

LISTS = {  # on a CPU a first try ends within a couple of minutes
    "batch_sizes": {"cuda": [1, 2, 4, 8, 16, 32, 64], "cpu": [1, 2, 4]},
    "prompt_tokens": {"cuda": [128, 512, 2048], "cpu": [32, 128]},
    "max_tokens": {"cuda": [128], "cpu": [16]},
}
RANKS = [1]
PROCESSES = 3
REPETITIONS = {"cuda": 2, "cpu": 1}
WARMUPS = 1
COMPARED = ("cpu", "gpus", "packages")
"""Facts of the environment that must be the same where a sweep is resumed."""

MOST_SCENARIOS = 10_000


def settings_of(options, saved: SweepSettings | None = None) -> SweepSettings:
    """Fill in what the user left out: from the sweep that is resumed, else the defaults of the device.

    Raises UsageError for what no machine can do, and for a flag that differs from the resumed sweep's;
    MachineError where this machine lacks a GPU.
    """
    if options.device == "metal":
        raise UsageError(METAL)
    names = [field.name for field in dataclasses.fields(SweepSettings)]
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    if options.model_name is not None:
        given["model"] = options.model_name
    if saved is not None:
        _require_equal(given, dataclasses.asdict(saved))
    device = given.get("device") or (saved.device if saved else default_device())
    base = dataclasses.asdict(saved) if saved else _defaults(device)
    settings = SweepSettings(**{**base, **given})
    if settings.device == "cuda" and not options.dry_run:
        require_gpu()
    _require_some(settings)
    if not options.dry_run:
        _require_ranks(settings)
    real = [engine for engine in settings.engines if engine_class(engine).form is not None]
    _require_answers(settings, options, real)
    return settings


def _require_answers(settings: SweepSettings, options, engines: list[str]) -> None:
    """Refuse a check of the answers that could not be made; `engines` are those that answer. Raises BenchError."""
    if not settings.quality:
        if options.fail_on_quality:
            raise UsageError("--fail_on_quality, but no answers are checked: add --quality")
        return
    if settings.weights != "pretrained" or not engines:
        raise UsageError("--quality, but there is nothing to check: random weights and the fake engine answer nothing")
    if options.reference_device == "cuda" and not options.dry_run:
        require_gpu("--reference_device")
    for engine in engines:
        questions.require_askable(options, settings.model, engine)


def _defaults(device: str) -> dict:
    return {
        "model": MODEL[device],
        "device": device,
        "weights": "pretrained",
        "seed": 0,
        "engines": [DEFAULT_ENGINES[device]],
        "precisions": [capabilities.DEFAULT[device]],
        **{name: lists[device] for name, lists in LISTS.items()},
        "tensor_parallel": RANKS,
        "repetitions": REPETITIONS[device],
        "warmups": WARMUPS,
        "processes": PROCESSES,
        "quality": False,
    }


def _require_equal(given: dict, saved: dict) -> None:
    for name, value in given.items():
        if value != saved[name]:
            raise UsageError(
                f"--resume: this sweep was started with {name} {_words(saved[name])}, not {_words(value)}; "
                "leave the flag out, or start another sweep"
            )


def _words(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _require_some(settings: SweepSettings) -> None:
    """Raise UsageError where no engine runs in any of the precisions; else the sweep itself gives the reasons."""
    if not running(settings):
        reason = capabilities.refusal(settings.engines[0], settings.device, settings.precisions[0])
        raise UsageError(f"--engines {reason}")


def _require_ranks(settings: SweepSettings) -> None:
    """Raise UsageError or MachineError where no engine runs on any of the numbers of ranks."""
    spec, cells = catalog.load(settings.model), list(itertools.product(running(settings), settings.tensor_parallel))
    reasons = [
        tensor_parallel.refusal(spec, engine, settings.device, precision, ranks)
        or tensor_parallel.lacking(settings.device, engine, ranks)
        for (engine, precision), ranks in cells
    ]
    if all(reasons):
        ((engine, precision), ranks), *_ = cells
        tensor_parallel.require_possible(spec, engine, settings.device, precision, ranks)
        tensor_parallel.require_here(settings.device, engine, ranks)


def running(settings: SweepSettings) -> list[tuple[str, str]]:
    """Engines and precisions that run on the device, on some machine."""
    cells = itertools.product(settings.engines, settings.precisions)
    return [cell for cell in cells if not capabilities.refusal(cell[0], settings.device, cell[1])]


def computes(settings: SweepSettings) -> list[str]:
    """The precisions of the products of all that runs and reads weights, each once."""
    reading = [cell for cell in running(settings) if engine_class(cell[0]).reads_weights()]
    return list(dict.fromkeys(capabilities.compute_of(engine, settings.device, name) for engine, name in reading))


def scenarios_of(settings: SweepSettings) -> list[SweepScenario]:
    """The product, in the order in which it is shown: the scenarios of one loaded engine are adjacent.

    Raises UsageError for more than `MOST_SCENARIOS`.
    """
    s = settings
    lists = (s.engines, s.precisions, s.tensor_parallel, s.prompt_tokens, s.max_tokens, s.batch_sizes)
    if (count := math.prod(map(len, lists))) > MOST_SCENARIOS:
        raise UsageError(f"these are {count:,} scenarios: at most {MOST_SCENARIOS:,} in one sweep")
    return [
        SweepScenario(engine, precision, batch, prompt, new, tensor_parallel=ranks)
        for engine, precision, ranks, prompt, new, batch in itertools.product(*lists)
    ]


def new_result(settings: SweepSettings) -> SweepResult:
    """A sweep that has not begun."""
    return SweepResult(settings, scenarios_of(settings), order=order_of(settings))


def order_of(settings: SweepSettings) -> list[Visit]:
    """The processes in the order in which they measure, drawn with the seed.

    Every engine in every precision that it runs in has its first process before any has its second, and so on. Of every
    two such turns the first is in an order that is drawn and the second in the reverse, so that a steady drift of the
    machine falls on all alike over both (randomized blocks, R. A. Fisher, "The Design of Experiments", 1935); of an odd
    number of turns the last is left over.
    """
    draw = random.Random(f"order {settings.seed}")
    spec = catalog.load(settings.model)
    loads = [
        (engine, precision, ranks)
        for (engine, precision), ranks in itertools.product(running(settings), settings.tensor_parallel)
        if not tensor_parallel.refusal(spec, engine, settings.device, precision, ranks)
    ]
    order: list[Visit] = []
    for process in range(1, settings.processes + 1):
        loads = draw.sample(loads, len(loads)) if process % 2 else loads[::-1]
        order += [Visit(process, *load) for load in loads]
    return order


def order_text(sweep: SweepResult) -> list[str]:
    """The order of the processes, in a line; none where there is one engine in one precision."""
    loads = [load_title(*visit.key) for visit in sweep.order]
    return [f"order of the processes, random: {', '.join(loads)}"] if len(set(loads)) > 1 else []


def to_measure(sweep: SweepResult, visit: Visit) -> list[SweepScenario]:
    """What a process has to measure: all of its scenarios that are pending and that it has not measured yet.

    In the order of the plan in the last process and in every second one before it, else in the reverse.
    """
    scenarios = [
        scenario
        for scenario in sweep.scenarios
        if scenario.key == visit.key and scenario.status == "pending" and len(scenario.rounds) < visit.process
    ]
    return scenarios[::-1] if (sweep.settings.processes - visit.process) % 2 else scenarios


def resumed(file: Path) -> SweepResult:
    """A saved sweep with all that is not complete pending again, what processes measured of it kept.

    Raises UsageError for another file.
    """
    with named(file):
        sweep = SweepResult.load(file)
    for index, scenario in enumerate(sweep.scenarios):
        if scenario.status not in ("complete", "pending"):
            size = (scenario.batch_size, scenario.prompt_tokens, scenario.max_tokens)
            engine, precision, ranks = scenario.key
            sweep.scenarios[index] = SweepScenario(engine, precision, *size, tensor_parallel=ranks)
    sweep.order = sweep.order or order_of(sweep.settings)
    return sweep


def require_same(saved: dict, now: dict, what: str) -> None:
    """Refuse to continue a sweep where the named facts differ. Raises UsageError; facts not saved are not held."""
    for name, value in now.items():
        if name in saved and saved[name] != value:
            raise UsageError(
                f"--resume: {what} {name} was {_short(saved[name])} and is {_short(value)} now; start another sweep"
            )


def _short(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    return str(value)


def refusal(spec: ModelSpec, settings: SweepSettings, scenario: SweepScenario, free_bytes: int | None) -> str | None:
    """Why a scenario cannot be, with the arithmetic; None where it can. `free_bytes`: before the engine loads."""
    where = (scenario.engine, settings.device, scenario.precision)
    if reason := precisions.refusal(spec, *where) or precisions.lacking(scenario.cell(settings.device), where[-1]):
        return reason
    ranks = scenario.tensor_parallel
    lacking = tensor_parallel.lacking(settings.device, scenario.engine, ranks)
    if reason := tensor_parallel.refusal(spec, *where, ranks) or lacking:
        return reason
    context = spec.shape["max_position_embeddings"]
    if scenario.tokens > context:
        return f"these are {scenario.tokens} in all, and the model's context is {context}"
    parts = ranks if settings.device == "cuda" else 1  # each GPU holds its part; a CPU's memory all of them
    kv, loaded = (needed(spec, scenario, settings.device) // parts for needed in (kv_bytes, weight_bytes))
    if free_bytes is None or loaded == 0 or loaded + kv + WORKSPACE_BYTES <= free_bytes:
        return None
    cache = f"KV cache {gigabytes(kv)} ({scenario.batch_size} × {scenario.tokens} tokens)"
    needed = gigabytes(loaded + kv + WORKSPACE_BYTES)
    return (
        f"weights {gigabytes(loaded)} + {cache} + {gigabytes(WORKSPACE_BYTES)} for all else = {needed}, and "
        f"{gigabytes(free_bytes)} are free"
    )


def reason_lines(ends: list[tuple[SweepScenario, str, str | None]]) -> list[str]:
    """A line for each scenario with a reason, of (scenario, status, reason); one where all of a cell have the same."""
    of_load = Counter(scenario.key for scenario, _, _ in ends)
    alike: dict[tuple, list[SweepScenario]] = {}
    for scenario, status, reason in ends:
        if reason:
            alike.setdefault((scenario.key, status, reason), []).append(scenario)
    lines = []
    for (key, status, reason), scenarios in alike.items():
        whole = len(scenarios) == of_load[key] and (status == "refused" or len(scenarios) > 1)
        titles = [load_title(*key)] if whole else [scenario.title() for scenario in scenarios]
        lines += [f"{status}: {title}: {reason}" for title in titles]
    return lines


def kv_bytes(spec: ModelSpec, scenario: SweepScenario, device: str) -> int:
    """Bytes of KV cache that the scenario takes with its engine."""
    engine, compute = engine_class(scenario.engine), scenario.cell(device).compute
    return engine.kv_bytes(spec, compute, scenario.batch_size, scenario.tokens)


def weight_bytes(spec: ModelSpec, scenario: SweepScenario, device: str) -> int:
    """Bytes of the weights that its engine holds while it loads, before any are packed."""
    return weights.loaded_bytes(spec, engine_class(scenario.engine).form, scenario.cell(device).compute)
