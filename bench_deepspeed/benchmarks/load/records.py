"""The data of a load test. Times are seconds from the start of their level; `None` means not measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.json_files import read_json, write_json
from bench_deepspeed.measure.records import SCHEMA_VERSION, EnergyPart, Environment

PERCENTILES = (50, 90, 95, 99)
FILE = "load.json"
SUBFOLDER = "load"
Sla = dict[str, float | None]
"""A service level: the limits of "ttft_s", "tpot_s" and "e2e_s", None where one is not set."""


@dataclass(frozen=True)
class Request:
    """One request as it is to be sent. `due_s` is None where a client sends it when its last one ended."""

    prompt: str
    prompt_tokens: int
    max_tokens: int
    due_s: float | None = None


@dataclass(frozen=True)
class TokenCount:
    """The tokens of one request. `prompt` is None where nothing counted them.

    `by` is what counted the new ones where the target does not give each token its time: "usage" (the server's
    `usage.completion_tokens`), "token ids" or "tokenizer"; None elsewhere. `by_tokenizer` is the tokenizer's count of
    the answer's text, where there is one.
    """

    new: int
    prompt: int | None
    by: str | None = None
    by_tokenizer: int | None = None


@dataclass(frozen=True)
class Workload:
    """What is sent at every level. Token counts are None where a file sets them.

    `spread` is the standard deviation of the lengths over their mean; `trace` and `prompts` are what the
    files held: [arrival, prompt tokens, output tokens], and texts. A window is as long as it takes for `requests` to be
    due in it, and `seconds` at least.

    `shared_prefix` tokens begin every prompt that is made, in addition to `prompt_tokens`. `trace_blocks` are the ids
    of the blocks of each prompt of a trace, see `traces.Trace`; `trace_left_out` counts its requests that are not sent.
    `answers` are texts as long as the answers to `prompts`. `recorded` says that the lengths are those of a recorded
    file, which nobody chose for this model. `burstiness` and `ramp_s`: see `arrivals.arrivals`.
    """

    prompt_tokens: int | None
    max_tokens: int | None
    spread: float
    seconds: float
    timeout_s: float
    seed: int
    trace: list[tuple[float, int, int]] | None = None
    prompts: list[str] | None = None
    requests: int = 0
    shared_prefix: int = 0
    trace_format: str | None = None
    trace_left_out: int = 0
    trace_blocks: list[list[int]] | None = None
    answers: list[str] | None = None
    recorded: bool = False
    burstiness: float = 1.0
    ramp_s: float = 0.0


@dataclass(frozen=True)
class SloTerm:
    """So many percent of the requests have a latency, "ttft", "tpot" or "e2e", of `limit_s` at most."""

    latency: str
    percent: float
    limit_s: float


@dataclass(frozen=True)
class Slo:
    """A service level objective: all of its terms. `source` says who published it; None for the user's own."""

    text: str
    terms: list[SloTerm]
    source: str | None = None


@dataclass(frozen=True)
class Record:
    """One request as it went. `error` is why it failed; the latencies of a failed one are infinite.

    `slowest_ema_s` is the largest exponential moving average of its token gaps, see `latency.slowest_ema`. `chunks` are
    its tokens as they came, see `latency.chunks_of`; None in files from before they were kept. `prompt_tokens` is None
    where nothing counted them. `counted_by` and `tokenizer_tokens` are those of `TokenCount`.
    """

    due_s: float
    sent_s: float | None
    first_s: float | None
    last_s: float | None
    prompt_tokens: int | None
    max_tokens: int
    new_tokens: int
    slowest_ema_s: float | None
    error: str | None
    chunks: str | None = None
    counted_by: str | None = None
    tokenizer_tokens: int | None = None


@dataclass(frozen=True)
class LevelCheck:
    """Requests of a level that were sent again once it was over, by their place in its records.

    `tokens`: their answers under load, as token ids or the text of each token. `first_differences`: where the answer
    alone differs first; None where it does not.
    """

    records: list[int]
    tokens: list[list[int | str]]
    first_differences: list[int | None]


@dataclass(frozen=True)
class Level:
    """One load, held for a while: so many clients, or so many requests a second (None for both: a trace).

    `itl_s` has percentiles of ITL in files from before chunks were kept, and is empty in newer ones.
    `server_cpu_share` has CPU seconds a second of each process of the target that computes, by what it is.
    `waited_for_kv` counts requests that found no room in the KV cache when they were sent; None: the target
    does not report it. `settled` says whether latency had settled when the window began; None for a trace, and in files
    from before that was looked for. `token_chunks` says whether each chunk that the server sent was one token; None for
    a target that gives each token its time. Where it is False, `chunks` of the records count chunks, not tokens.
    """

    clients: int | None
    rate: float | None
    window_s: tuple[float, float]
    tokens_in_window: int
    itl_s: dict[str, float]
    generator_cpu_share: float
    most_in_flight: int
    records: list[Record]
    waited_for_kv: int | None = None
    server_cpu_share: dict[str, float] = field(default_factory=dict)
    settled: bool | None = None
    token_chunks: bool | None = None
    check: LevelCheck | None = None
    """None: the answers were not compared with those of the same requests alone."""
    energy: EnergyPart | None = None
    """Of the target's GPUs over the whole level; None on a CPU, and where no counter can be read."""

    @property
    def name(self) -> str:
        return level_name(self.clients, self.rate)


def level_name(clients: int | None, rate: float | None) -> str:
    """What a level is called: by its clients, its rate, or neither, for a trace."""
    if clients is not None:
        return "1 client" if clients == 1 else f"{clients} clients"
    return "trace" if rate is None else f"{rate:g} requests/s"


@dataclass
class LoadResult:
    """One load test: what was requested of which target, where, and its levels in the order they ran."""

    scenario: dict
    target: dict
    workload: dict
    sla: dict[str, float | None]
    started_at: str
    status: str = "running"  # then "complete", "failed" or "interrupted"
    error: str | None = None
    stopped: str | None = None
    model: dict = field(default_factory=dict)
    environment: Environment = field(default_factory=Environment)
    levels: list[Level] = field(default_factory=list)
    slo: Slo | None = None
    """The objective whose highest rate was searched; None: the levels were requested one by one."""
    gpus: int | None = None
    """GPUs of a server that somebody else has started, where the user said it."""
    gpu_hour: float | None = None
    """The price of an hour of one of them."""
    kind: str = "load"
    schema_version: int = SCHEMA_VERSION

    def save(self, path: Path) -> None:
        """Write load.json in one step, so that a kill leaves the old file or the new one, whole."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> LoadResult:
        """Read a saved load test. Raises BenchError when the file is not one."""
        result = read_json(cls, path, SCHEMA_VERSION, "a load test")
        if result.kind != "load":
            raise BenchError(f"{path} is not a load test of this suite: kind {result.kind!r}")
        return result
