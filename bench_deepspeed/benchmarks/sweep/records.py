"""The data of a sweep, and the sweep.json that it is kept in. Samples are stored, metrics derived from them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.capabilities import Cell, cell
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.json_files import read_json, require_divisors, write_json
from bench_deepspeed.measure.records import EngineDescription, Environment, Limits, Memory, Sample

SCHEMA_VERSION = 1
FILE = "sweep.json"


@dataclass(frozen=True)
class SweepSettings:
    """What the user chose: the scenarios are the product of the five lists."""

    model: str
    device: str
    weights: str
    seed: int
    engines: list[str]
    precisions: list[str]
    batch_sizes: list[int]
    prompt_tokens: list[int]
    max_tokens: list[int]
    repetitions: int
    """In each process."""
    warmups: int
    processes: int = 1
    """Of each engine in each precision."""
    tensor_parallel: list[int] = field(default_factory=lambda: [1])
    """Numbers of ranks that the model is split over."""
    quality: bool = False
    """Whether the answers of each engine in each precision are checked, after all was timed."""


@dataclass(frozen=True)
class BatchCheck:
    """What the timed generations of a batch answered, and how that was checked.

    `fewest_tokens`: token ids of any sequence in any of them, at least. `read_s`: the longest time in seconds that
    reading them took after the clock had stopped. `rows`: two sequences that were drawn then, `token_ids` their
    answers, and `gaps` how far a token is below the one that the engine's logits prefer for that sequence alone.
    """

    fewest_tokens: int
    read_s: float
    rows: list[int]
    token_ids: list[list[int]]
    gaps: list[float]


def load_title(engine: str, precision: str, ranks: int) -> str:
    """An engine in a precision, and its ranks where there are several."""
    return f"{engine} {precision}" + (f" on {ranks} ranks" if ranks > 1 else "")


@dataclass
class SweepScenario:
    """One scenario and what came of it: `batch_size` sequences, each of `prompt_tokens` + `max_tokens`.

    `status` is "pending", "complete", "refused" (it cannot be, so nothing was started), "failed", or
    "impossible" (beyond the device's limits, or not computed: its times are kept, and never shown as a speed).
    """

    engine: str
    precision: str
    batch_size: int
    prompt_tokens: int
    max_tokens: int
    status: str = "pending"
    reason: str | None = None
    warmups: int | None = None
    prefill: list[Sample] = field(default_factory=list)
    """Generations of one token; tokens are those of each sequence."""
    total: list[Sample] = field(default_factory=list)
    """Generations of `max_tokens`, interleaved with those: the k-th of both are one round."""
    rounds: list[int] = field(default_factory=list)
    """Of each process, in the order in which they measured it. Empty: one process, or not measured."""
    check: BatchCheck | None = None
    """Of the last process. None: what was timed was not checked."""
    memory: Memory | None = None
    """Of one generation of all tokens that was not timed, in the first process."""
    tensor_parallel: int = 1
    """Ranks that the model is split over."""

    def cell(self, device: str) -> Cell:
        """By what it runs in its precision."""
        return cell(self.engine, device, self.precision)

    @property
    def key(self) -> tuple[str, str, int]:
        """What is loaded for it: the scenarios of one key share processes."""
        return self.engine, self.precision, self.tensor_parallel

    @property
    def tokens(self) -> int:
        """Prompt and answer of one sequence."""
        return self.prompt_tokens + self.max_tokens

    @property
    def processes(self) -> list[list[tuple[float, float]]]:
        """Seconds of prefill and total of each round of each process."""
        rounds = iter(zip([s.seconds for s in self.prefill], [s.seconds for s in self.total], strict=True))
        return [list(itertools.islice(rounds, count)) for count in self.rounds or [len(self.total)] if count]

    def title(self) -> str:
        load = load_title(self.engine, self.precision, self.tensor_parallel)
        return f"{load}, batch {self.batch_size}: {self.prompt_tokens} + {self.max_tokens} tokens"


@dataclass(frozen=True)
class Visit:
    """One process of an engine in a precision, which measures all of its scenarios once more."""

    process: int
    """Counted from 1, of this engine in this precision."""
    engine: str
    precision: str
    tensor_parallel: int = 1

    @property
    def key(self) -> tuple[str, str, int]:
        return self.engine, self.precision, self.tensor_parallel


@dataclass(frozen=True)
class SweepLoad:
    """One loading of an engine, in a process of its own."""

    engine: str
    precision: str
    load_s: float
    kernel_build_s: float | None
    describe: EngineDescription
    compile_s: float | None = None
    tensor_parallel: int = 1


@dataclass(frozen=True)
class CellQuality:
    """What the check of the answers found of an engine in a precision; `sha256` is that of its quality.json.

    `mean_kl` and `top1_agreement` are distances from float32 early in the context, `floor_mean_kl` the baseline's; `ok`
    is None where there is no baseline, and so no noise floor.
    """

    engine: str
    precision: str
    ok: bool | None
    words: str
    baseline: str | None
    mean_kl: float
    floor_mean_kl: float | None
    top1_agreement: float
    sha256: str
    tensor_parallel: int = 1

    @property
    def key(self) -> tuple[str, str, int]:
        return self.engine, self.precision, self.tensor_parallel


@dataclass
class SweepResult:
    """A sweep: its settings, where and with what it ran, and its scenarios in their order."""

    settings: SweepSettings
    scenarios: list[SweepScenario]
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    started_at: list[str] = field(default_factory=list)
    """Once for the start, and once for each time it was resumed."""
    model: dict = field(default_factory=dict)
    environment: Environment = field(default_factory=Environment)
    limits: dict[str, Limits] = field(default_factory=dict)
    """By the precision of the products; of several GPUs see `limits_key`."""
    loads: list[SweepLoad] = field(default_factory=list)
    order: list[Visit] = field(default_factory=list)
    """As drawn before the first. Empty in results of older versions: one engine and precision after the other."""
    quality: list[CellQuality] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def devices(self, scenario: SweepScenario) -> int:
        """Devices of a scenario's ranks: each has a GPU of its own, and all of them share a CPU."""
        return scenario.tensor_parallel if self.settings.device == "cuda" else 1

    def limits_key(self, scenario: SweepScenario) -> str:
        """The key of its limits: the precision of its products, and of several GPUs their number."""
        compute, devices = scenario.cell(self.settings.device).compute, self.devices(scenario)
        return compute if devices == 1 else f"{compute}, {devices} GPUs"

    def save(self, path: Path) -> None:
        """Write the JSON in one step."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> SweepResult:
        """Read a saved sweep. Raises BenchError when the file is not one of this schema."""
        sweep = read_json(cls, path, SCHEMA_VERSION, "a sweep")
        require_divisors(sweep._divisors(), path, "a sweep")
        for scenario in sweep.scenarios:
            series = {len(scenario.prefill), len(scenario.total), *([sum(scenario.rounds)] if scenario.rounds else [])}
            if len(series) > 1:
                raise BenchError(f"{path} is not a sweep of this suite: {scenario.title()}: a round lacks a half")
        return sweep

    def _divisors(self) -> Iterator[float]:
        """Every time and limit that a metric is divided by."""
        yield from (sample.seconds for scenario in self.scenarios for sample in [*scenario.prefill, *scenario.total])
        yield from (scenario.tensor_parallel for scenario in self.scenarios)
        for limits in self.limits.values():
            yield from limits.divisors
