"""What is compared: two scenarios that differ only in what the user chose, and whether both fit into memory at once."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.common.flags import check_gate
from bench_deepspeed.benchmarks.common.scenario import WORKSPACE_BYTES, scenario_of
from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.secrets import redacted
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.engines import engine_class
from bench_deepspeed.machine.environment import default_device
from bench_deepspeed.machine.python_env import require_packages
from bench_deepspeed.measure.power import MIN_PAIRS
from bench_deepspeed.measure.records import Result, Scenario
from bench_deepspeed.model import catalog

from . import detect
from .flags import MAX_TOKENS, PAIRS, ROUNDS, TENSOR_PARALLEL, TIME_BUDGET_S
from .noise import Noise, expected, power_text
from .records import SIDES, AbResult

FLAGS = {
    "engine": "engine",
    "precision": "precision",
    "weights": "weights",
    "model": "model_name",
    TENSOR_PARALLEL: TENSOR_PARALLEL,
}
"""Key of a configuration → the option of a run that it stands for."""


@dataclass(frozen=True)
class Side:
    """One configuration: what is measured, and what it runs in."""

    name: str
    scenario: Scenario
    python: str | None
    variables: dict[str, str]

    @property
    def shown_variables(self) -> list[str]:
        """ "NAME=value" of each, values of secrets left out."""
        return [f"{name}={redacted(name, value)}" for name, value in self.variables.items()]

    def with_pairs(self, pairs: int) -> Side:
        """The same, in another number of pairs."""
        return dataclasses.replace(self, scenario=dataclasses.replace(self.scenario, processes=pairs))


@dataclass(frozen=True)
class Plan:
    """Both sides, and whether the user left the number of pairs open.

    `noise` is expected from earlier comparisons; `detect` is the share that --detect requests.
    """

    sides: dict[str, Side]
    pairs_left_open: bool
    noise: Noise | None = None
    detect: float | None = None

    @property
    def device(self) -> str:
        return self.sides["A"].scenario.device

    def require_packages(self) -> None:
        """Raises MachineError where a Python that a side names cannot run a worker."""
        for side in self.sides.values():
            if side.python:
                require_packages(side.python)

    @property
    def power(self) -> str:
        """The difference that the planned pairs detect, in words, and its source."""
        s = self.sides["A"].scenario
        if self.detect is not None and not (self.noise and self.noise.own):
            return (
                f"the first {s.processes} pairs show how many it takes to detect {100 * self.detect:.3g}%: no earlier "
                "comparison of these sides does"
            )
        if self.noise is None:
            return f"not known before {MIN_PAIRS} pairs are measured: no earlier comparison can be read"
        shown = self.noise.shows(s.processes, s.repetitions)
        return f"{power_text(s.processes, s.repetitions, shown)}, by the noise of {self.noise.source}"


def plan_of(options: argparse.Namespace) -> Plan:
    """Fill in the defaults of the device, and the number of pairs that --detect takes.

    Raises UsageError or MachineError as a run does, UsageError for a --detect that is out of reach.
    """
    others = [name for name in ("processes", "target_ci") if getattr(options, name) is not None]
    if options.detect is not None and others:
        raise UsageError(f"--detect chooses the number of pairs: leave out --{others[0]}")
    check_gate(options)
    if options.fail_on_regression is not None and options.processes == 1:
        raise UsageError("--fail_on_regression needs an interval, and one pair has none: --processes 3 or more")
    device = "cpu" if (options.device or default_device()) != "cuda" else "cuda"
    common = {
        "max_tokens": options.max_tokens or MAX_TOKENS[device],
        "repetitions": options.repetitions or ROUNDS[device],
        "processes": options.processes or PAIRS,
        "engine": None,
        "precision": None,
    }
    if options.target_ci is not None:
        common["time_budget"] = options.time_budget or TIME_BUDGET_S
    sides = {name: _side(name, {**vars(options), **common}, getattr(options, name.lower())) for name in SIDES}
    noise = expected(new_result(Plan(sides, False), options, ""), options.output_dir)
    if options.detect is not None:
        pairs = detect.planned(options.detect, common["repetitions"], noise).planned
        sides = {name: side.with_pairs(pairs) for name, side in sides.items()}
    return Plan(sides, options.processes is None and options.detect is None, noise, options.detect)


def _side(name: str, common: dict, settings: dict[str, str]) -> Side:
    own: dict[str, str | int] = {option: settings[key] for key, option in FLAGS.items() if key in settings}
    own |= {TENSOR_PARALLEL: int(settings[TENSOR_PARALLEL])} if TENSOR_PARALLEL in settings else {}
    variables = {key.removeprefix("env."): value for key, value in settings.items() if key.startswith("env.")}
    return Side(name, scenario_of(argparse.Namespace(**{**common, **own})), settings.get("python"), variables)


def new_result(plan: Plan, options: argparse.Namespace, started_at: str) -> AbResult:
    """A comparison that has not begun. Paths are left out of it."""
    settings = {name: _published(getattr(options, name.lower())) for name in SIDES}
    a, b = (Result(side.scenario, started_at=started_at) for side in plan.sides.values())
    return AbResult(a, b, settings, started_at=started_at, detect=plan.detect)


def _published(settings: dict[str, str]) -> dict[str, str]:
    """What may be published of what the user chose: a path may hold a user's name, a variable a secret."""
    return {
        k: "another" if k == "python" else paths.without_home(redacted(k.removeprefix("env."), v))
        for k, v in settings.items()
    }


def refusal(plan: Plan, free_bytes: int | None) -> str | None:
    """Why both cannot be loaded at once, with the arithmetic; None where they can, or that is not known."""
    arithmetic, total = _together(plan)
    if free_bytes is None or total <= free_bytes:
        return None
    room = f"{gigabytes(total)}, and {gigabytes(free_bytes)} are free on {plan.device}"
    return f"A and B do not fit at once ({arithmetic}): {room}"


def _parts(scenario: Scenario) -> dict[str, int]:
    """Bytes that a side takes, on each of its GPUs, by what for; nothing for an engine without weights."""
    engine, spec = engine_class(scenario.engine), catalog.load(scenario.model)
    compute = scenario.cell.compute
    if engine.form is None:
        return {}
    # A tokenizer makes no more tokens than the prompt has bytes, and puts one before them.
    tokens = min(len(scenario.prompt.encode()) + 1 + scenario.max_tokens, spec.shape["max_position_embeddings"])
    parts = scenario.tensor_parallel if scenario.device == "cuda" else 1  # a CPU's memory holds all of them
    return {
        "weights": weights.loaded_bytes(spec, engine.form, compute) // parts,
        "KV cache": engine.kv_bytes(spec, compute, 1, tokens) // parts,
        "all else": WORKSPACE_BYTES,
    }


def _words(parts: dict[str, int]) -> str:
    return " + ".join(f"{gigabytes(size)} {what}" for what, size in parts.items()) or "nothing"


def fits(plan: Plan, free_bytes: int | None) -> str:
    """What both take together, in words."""
    arithmetic, total = _together(plan)
    free = "not known" if free_bytes is None else gigabytes(free_bytes)
    return f"{arithmetic}; together {gigabytes(total)}, free {free}"


def _together(plan: Plan) -> tuple[str, int]:
    """What each takes, in words, and the bytes of both."""
    needs = {name: _parts(side.scenario) for name, side in plan.sides.items()}
    arithmetic = "; ".join(f"{name}: {_words(parts)}" for name, parts in needs.items())
    return arithmetic, sum(sum(parts.values()) for parts in needs.values())
