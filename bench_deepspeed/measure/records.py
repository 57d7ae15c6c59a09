"""The data of a benchmark, and the JSON it is kept in.

Raw samples are stored; every statistic is derived from them. `None` means "not measured". Units are in
the names: `_s` seconds, `_bytes` bytes, `_j` joules, `_mhz`, `_c` degrees Celsius. `docs/reference/fields.md`
documents each field.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_deepspeed.core.capabilities import Cell, cell
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.json_files import read_json, require_divisors, write_json

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Scenario:
    """What is measured, complete before anything starts."""

    model: str
    engine: str
    device: str
    precision: str
    weights: str
    prompt: str
    max_tokens: int
    processes: int
    repetitions: int
    """In each process."""
    warmups: int | None
    """None: until the times are steady."""
    seed: int
    target_ci: float | None = None
    """Half width over mean that the interval of the speed is to have; more processes until it has."""
    time_budget_s: float | None = None
    """After this no further process is started, unless --processes requests it."""
    quick: bool = False
    """A first number alone: nothing else is measured."""
    varied: bool = False
    """Each generation has a prompt of its own, of as many tokens as `prompt`, whose words it has in another order."""
    tensor_parallel: int = 1
    """Ranks that the model is split over, each in a process of its own and, on CUDA, on a GPU of its own."""

    @property
    def cell(self) -> Cell:
        """By what it runs in its precision."""
        return cell(self.engine, self.device, self.precision)


@dataclass(frozen=True)
class Reading:
    """The machine right after a timed generation, and who else used its processors meanwhile."""

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    throttle_reasons: list[str] | None = None
    other_gpu_processes: int | None = None
    other_cpus_busy: float | None = None
    """CPUs kept busy by other processes, on average over the generation."""
    compilations: int | None = None
    """Times that the engine compiled its model, or recorded a graph of it, during the generation."""
    other_ranks: list[Reading] = field(default_factory=list)
    """Of the GPUs of ranks 1 and on."""

    @property
    def of_all(self) -> Reading:
        """The worst of all ranks: the slowest clock, the highest temperature, every reason of reduced clocks."""
        ranks = [self, *self.other_ranks]
        if not self.other_ranks:
            return self

        def known(name: str) -> list[Any]:
            return [value for rank in ranks if (value := getattr(rank, name)) is not None]

        reasons = known("throttle_reasons")
        return dataclasses.replace(
            self,
            sm_clock_mhz=min(known("sm_clock_mhz"), default=None),
            memory_clock_mhz=min(known("memory_clock_mhz"), default=None),
            temperature_c=max(known("temperature_c"), default=None),
            throttle_reasons=sorted({reason for some in reasons for reason in some}) if reasons else None,
            other_gpu_processes=max(known("other_gpu_processes"), default=None),
        )


@dataclass(frozen=True)
class Sample:
    """One timed generation: wall time from text in to text out, and the tokens the engine counted."""

    seconds: float
    prompt_tokens: int
    new_tokens: int
    reading: Reading | None = None
    host_s: list[float] | None = None
    """Seconds of a fixed loop of Python right before and right after it; None: not measured."""

    @property
    def tokens_per_s(self) -> float:
        return self.new_tokens / self.seconds

    def is_void(self, scenario: Scenario) -> bool:
        """A run that generated another number of tokens measured something else: it is never averaged in."""
        return self.new_tokens != scenario.max_tokens


@dataclass(frozen=True)
class Audit:
    """What the timed generations of a process, warm-ups included, answered, and how that was checked.

    `token_ids`: each different answer, in the order in which it first came; answers to two prompts are two. `given`: of
    each generation the index of its answer. `checked`: indices of the answers that were compared with logits; empty:
    the first ones. `gaps`: of each of these how far one of its tokens is below the one that the model prefers there, at
    most, in logits. `new_prompt_s` and `repeated_s`: seconds of generations of as many tokens after other prompts of
    that length and, interleaved with them, after one that was repeated; `first_s` and `half_s`: of one token and of
    half as many, after other prompts, interleaved with those. `long_new_s` and `long_repeated_s`: seconds of one token
    after long prompts, interleaved. `rest_s`: seconds until the process came to rest after the last one; None: it did
    not. `spins`: threads are set to wait for work without rest, so that this says nothing. `read_s`: the longest time
    in seconds that reading the tokens of one generation took after the clock had stopped; None: not recorded.
    """

    token_ids: list[list[int]]
    given: list[int]
    gaps: list[float]
    new_prompt_s: list[float]
    rest_s: float | None
    repeated_s: list[float] = field(default_factory=list)
    spins: bool = False
    read_s: float | None = None
    checked: list[int] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    half_s: list[float] = field(default_factory=list)
    long_new_s: list[float] = field(default_factory=list)
    long_repeated_s: list[float] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether each generation has its answer and each answer its gap, in numbers that are some."""
        answers = range(len(self.token_ids))
        return (
            0 < len(self.gaps) <= len(answers)
            and all(index in answers for index in (*self.given, *self.checked))
            and len(self.checked) in (0, len(self.gaps))
            and len(self.first_s) == len(self.half_s)
            and all(0 <= value < math.inf for value in (*self.gaps, self.read_s or 0.0))
            and all(0 < seconds < math.inf for seconds in self._times())
        )

    def _times(self) -> Iterator[float]:
        for times in (self.new_prompt_s, self.repeated_s, self.first_s, self.half_s):
            yield from times
        yield from (*self.long_new_s, *self.long_repeated_s)


@dataclass
class Run:
    """One process: its load time, its warm-ups and its repetitions, in the order they happened."""

    load_s: float | None = None
    kernel_build_s: float | None = None
    steady: bool | None = None
    """Whether the warm-ups ended because the times were steady; None where their number was fixed."""
    warmups: list[Sample] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    compile_s: float | None = None
    """None: nothing was compiled."""
    audit: Audit | None = None
    """None: what was timed was not checked."""
    prompts_sha256: str | None = None
    """Of the prompts of the repetitions, where each has its own: see `Scenario.varied`."""


@dataclass(frozen=True)
class Limits:
    """The device's measured limits: memory traffic, and matrix products in the run's precision."""

    copy_bytes_per_s: float
    read_bytes_per_s: float
    matmul_flops_per_s: float
    precision: str
    cache_bytes: int | None = None
    """The most that caches can keep from one step to the next; None where the system does not report it."""
    cpu_share: float | None = None
    """The share of the CPUs that other processes left to this measurement; None on CUDA."""
    devices: int = 1
    """GPUs that were measured one after the other, one for each rank: the values are their sums."""

    @property
    def bytes_per_s(self) -> float:
        """The memory bandwidth: the larger of the two measured."""
        return max(self.copy_bytes_per_s, self.read_bytes_per_s)

    @property
    def divisors(self) -> tuple[float, float]:
        """What metrics are divided by."""
        return self.bytes_per_s, self.matmul_flops_per_s


@dataclass(frozen=True)
class Latency:
    """Generations whose tokens were timed one by one, or that were compared by length.

    `method`: "streamed", then `itl_s` holds the gaps between tokens of each generation; or "difference",
    then `ttft_s` are generations of one token and `e2e_s` others of `max_tokens`, and `itl_s` is empty.
    """

    method: str
    ttft_s: list[float]
    e2e_s: list[float]
    itl_s: list[list[float]]


@dataclass(frozen=True)
class Prefill:
    """Generations of one token after a long prompt."""

    prompt_tokens: int
    seconds: list[float]


@dataclass(frozen=True)
class Memory:
    """Bytes by part, of one generation; None for a part that is not there or cannot be measured.

    One number would be mostly the pool that an engine chose to reserve.
    """

    weights_bytes: int | None = None
    kv_pool_bytes: int | None = None
    """Reserved for the KV cache at load time; None for an engine that reserves nothing."""
    kv_used_bytes: int | None = None
    """The most of the KV cache that the sequence filled."""
    workspace_bytes: int | None = None
    """Device peak - weights - KV cache: activations, workspaces and buffers."""
    device_peak_bytes: int | None = None
    driver_bytes: int | None = None
    """What the driver reports as in use on the whole GPU, right after the generation."""
    host_peak_bytes: int | None = None
    ranks: list[Memory] = field(default_factory=list)
    """Of each rank, where there are several: all else is then the sum. Of one rank: empty."""

    @classmethod
    def of_ranks(cls, ranks: list[Memory]) -> Memory:
        """The memory of several ranks: each, and the sum of each part; None for a part that any of them lacks."""
        parts = [part.name for part in dataclasses.fields(cls) if part.name != "ranks"]
        values = {name: [getattr(rank, name) for rank in ranks] for name in parts}
        sums = {name: None if None in of_part else sum(of_part) for name, of_part in values.items()}
        return cls(**sums, ranks=ranks)

    def peak_bytes(self, device: str) -> int | None:
        """Of the device's memory; on a CPU, of the host's process."""
        return self.device_peak_bytes if device == "cuda" else self.host_peak_bytes


@dataclass(frozen=True)
class EnergyPart:
    """The energy of some generations, one after the other."""

    joules: float
    seconds: float
    new_tokens: int


@dataclass(frozen=True)
class Energy:
    """The energy of one or more generations, by the device's counter that `source` names."""

    source: str
    joules: float
    seconds: float
    new_tokens: int
    parts: list[EnergyPart] = field(default_factory=list)
    """What it is the sum of. Empty in results of older versions: one part."""


@dataclass(frozen=True)
class Share:
    """One kernel, operator or function of a profile, in seconds a step."""

    name: str
    seconds: float
    calls: float


@dataclass(frozen=True)
class Profile:
    """Where one step's time goes. `step_s` was measured without the profiler, all else with it.

    `busy_s`: time a step in which the GPU ran a kernel (on the CPU: in which an operator ran); None where
    the profiler could not see the GPU.
    """

    phase: str  # "decode" or "prefill"
    device: str
    prompt_tokens: int
    steps: int
    step_s: float
    busy_s: float | None
    kernels: list[Share]
    host_functions: list[Share]


@dataclass(frozen=True)
class EngineDescription:
    """How an engine was set up, as it reports itself. None: it has no such thing, or the result is older than that."""

    name: str | None = None
    reads_weights: bool | None = None
    """Whether each of its steps reads a model from memory, and so can be no faster than memory is."""
    attention: str | None = None
    """Transformers' name of the implementation of attention."""
    kernel_injection: bool | None = None
    """DeepSpeed's `replace_with_kernel_inject`."""
    kv_blocks: int | None = None
    """Blocks of MII's pool for the KV cache."""
    static_caches: list[list[int]] | None = None
    """Sequences and tokens of each KV cache of a fixed length."""
    compiler_cache: str | None = None
    """Whether something compiled was read from the cache on disk ("warm") or not ("cold")."""
    cuda_graphs: int | None = None
    """CUDA graphs that were recorded while it loaded."""
    path: str | None = None
    """By what it runs in this precision: the library, and how it packs weights."""
    compute: str | None = None
    """The precision of the products, and of all that is not packed."""
    packing: str | None = None
    """Which weights of a packed matrix share a scale."""
    tensor_parallel: int | None = None
    """Ranks that the model is split over."""
    collectives: str | None = None
    """By what the ranks add up their parts."""
    rank_devices: list[str] | None = None
    """The device of each rank, in their order."""

    @property
    def facts(self) -> dict[str, Any]:
        """All but the name that is known, by field."""
        return {name: value for name, value in vars(self).items() if name != "name" and value is not None}


@dataclass(frozen=True)
class Gpu:
    """One GPU, as nvidia-smi lists it."""

    name: str
    capability: str
    """The compute capability, such as "9.0"."""
    memory_mib: int
    driver: str
    """The driver's version."""


EACH = ", "
"""Between the commits, and the digests of the code, of a measurement that went on with other code."""


def _each(before: str | None, now: str | None) -> Any:
    """What was recorded before, and what is recorded now, each once."""
    return EACH.join(dict.fromkeys(filter(None, [*(before or "").split(EACH), now]))) or None


@dataclass(frozen=True)
class Environment:
    """Where and with what something ran. None: not recorded, or not there."""

    suite: str | None = None
    commit: str | None = None
    """Of the suite; of a measurement that went on at another one each of them, in their order, see `EACH`."""
    python: str | None = None
    system: str | None = None
    cpu: str | None = None
    cpu_count: int | None = None
    cpu_quota: float | None = None
    """CPUs that a container may use at once, on average."""
    memory_bytes: int | None = None
    """The host's, or what a container may use of it."""
    load_average_1min: float | None = None
    gpus: list[Gpu] | None = None
    """Empty where the machine has none."""
    nvcc: str | None = None
    packages: dict[str, str | None] | None = None
    """Package → its version, None where it is not installed."""
    torch_cuda: str | None = None
    torch_threads: int | None = None
    gpu_used: str | None = None
    driver_cuda: str | None = None
    gpu_slowdown_c: int | None = None
    command: str | None = None
    """The command line, to be pasted; see `core.command_line`."""
    lock: str | None = None
    """ "name==version" of every distribution that the measuring Python has installed, a space between."""
    source: str | None = None
    """SHA-256 of the suite's own code, see `machine.software.source_digest`."""

    @property
    def facts(self) -> dict[str, Any]:
        """All that is recorded, by field, as in the JSON; but not the lock, which is for programs."""
        recorded = dataclasses.asdict(self).items()
        return {name: value for name, value in recorded if value is not None and name != "lock"}

    def version(self, package: str) -> str | None:
        """A package's version; None where it is not installed or not recorded."""
        return (self.packages or {}).get(package)

    def updated(self, later: Environment) -> Environment:
        """This environment, with what `later` has recorded in the place of what was recorded before."""
        recorded = {name: value for name, value in vars(later).items() if value is not None}
        return dataclasses.replace(self, **recorded)

    def resumed(self, later: Environment) -> Environment:
        """As `updated`, where a measurement goes on: with its first command, and each commit and source of it."""
        both = {name: _each(getattr(self, name), getattr(later, name)) for name in ("commit", "source")}
        command = self.command or later.command
        return dataclasses.replace(self.updated(later), command=command, **both)


@dataclass
class Result:
    """One benchmark: a scenario, where and with what it ran, and what was measured."""

    scenario: Scenario
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    started_at: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    engine: EngineDescription = field(default_factory=EngineDescription)
    environment: Environment = field(default_factory=Environment)
    runs: list[Run] = field(default_factory=list)
    limits: Limits | None = None
    latency: Latency | None = None
    prefill: Prefill | None = None
    memory: Memory = field(default_factory=Memory)
    energy: Energy | None = None
    profiles: list[Profile] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    @property
    def valid_samples(self) -> list[Sample]:
        return [s for run in self.runs for s in run.samples if not s.is_void(self.scenario)]

    @property
    def void_count(self) -> int:
        return sum(s.is_void(self.scenario) for run in self.runs for s in run.samples)

    def save(self, path: Path) -> None:
        """Write the JSON in one step, so that a kill leaves the old file or the new one, whole."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read a saved result. Raises BenchError when the file is not one of this schema."""
        result = read_json(cls, path, SCHEMA_VERSION, "a result")
        result.require_times(path, "a result")
        return result

    def require_times(self, path: Path, what: str) -> None:
        """Raises BenchError, about the file that is to be `what`, where metrics cannot be computed from its times."""
        require_divisors(self._divisors(), path, what)
        for number, run in enumerate(self.runs, 1):
            timed = len(run.warmups) + len(run.samples)
            if run.audit is not None and not (run.audit.is_whole and len(run.audit.given) == timed):
                raise BenchError(
                    f"{path} is not {what} of this suite: the audit of process {number} contradicts itself"
                )
        latency = self.latency
        if latency and latency.method == "streamed" and len(latency.ttft_s) != len(latency.e2e_s):
            raise BenchError(f"{path} is not {what} of this suite: a generation lacks one of its two latencies")

    def _divisors(self) -> Iterator[float]:
        """Every time, limit and number of tokens that a metric is divided by."""
        yield self.scenario.max_tokens
        if self.limits:
            yield from self.limits.divisors
        for sample in (sample for run in self.runs for sample in [*run.warmups, *run.samples]):
            yield from [sample.seconds, *(sample.host_s or [])]
        if self.latency:
            yield from [*self.latency.ttft_s, *self.latency.e2e_s]
        if self.prefill:
            yield from self.prefill.seconds
        for part in self.energy.parts if self.energy else ():
            yield from (part.seconds, part.new_tokens)


def best_of(first: Limits, second: Limits) -> Limits:
    """Of two measurements of one device in one precision, the better value of each kind, the smaller share of CPUs."""
    names = ("copy_bytes_per_s", "read_bytes_per_s", "matmul_flops_per_s")
    best = {name: max(getattr(first, name), getattr(second, name)) for name in names}
    shares = [limits.cpu_share for limits in (first, second) if limits.cpu_share is not None]
    return dataclasses.replace(first, **best, cpu_share=min(shares, default=None))
