"""An engine of known latency, for testing the harness's own arithmetic and behaviour; nothing else.

It needs no weights and makes no text. Its behaviour comes from the environment variable BENCH_FAKE, a
JSON object: `seconds` (a list, one entry a call, the last one repeated), `new_tokens` (what it claims to
have generated; default: the number requested), `fail_at` (the call, counted from 0, at which it raises), `die_at`
(the call at which the process kills itself), `fail_memory` (true: it raises when its memory is read), `lies`
(true: it claims to read the model's weights), `virtual` (true: it does not sleep but advances a clock of its own),
`noise` (see `Noise`). Of a batch: `cost`, the seconds of each part (`prompt_token` and `token` of each sequence,
`step` of all together), and `at_batch`, from the size of a batch to its outcome: "fail", "die", "sleep" (for ten
minutes) or "short" (it generates one token less). `ranks`: from the number of a rank to what is different there.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import time

from bench_deepspeed.core.errors import BenchError, UsageError
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.measure.records import Memory

from .base import Engine, Generation, Load


class Noise:
    """Factors on the time of each call, whose logarithm is a sum of normal variables.

    `independent`, `autocorrelated` and `between` are standard deviations: of a part drawn at each call, of
    one that follows itself as AR(1) with the coefficient `autocorrelation`, and of one drawn once a
    process. `drift` is added at each call. `seed` may be a text; without it each process draws its own.
    """

    def __init__(
        self,
        *,
        seed: int | str | None = None,
        independent: float = 0.0,
        autocorrelation: float = 0.0,
        autocorrelated: float = 0.0,
        between: float = 0.0,
        drift: float = 0.0,
    ):
        self._random = random.Random(seed)
        self._independent, self._drift = independent, drift
        self._autocorrelation = autocorrelation
        self._innovation = autocorrelated * math.sqrt(1.0 - autocorrelation**2)
        self._process = self._random.gauss(0.0, between)
        self._following = self._random.gauss(0.0, autocorrelated)

    def factor(self, call: int) -> float:
        """The factor of this call; to be called once for each call, in order."""
        now = self._random.gauss(0.0, self._independent)
        logarithm = self._process + self._following + now + self._drift * call
        self._following = self._autocorrelation * self._following + self._random.gauss(0.0, self._innovation)
        return math.exp(logarithm)


class FakeEngine(Engine):
    name = "fake"
    form = None
    profiled = False

    @classmethod
    def reads_weights(cls) -> bool:
        return _configured().get("lies", False)

    def join(self, load: Load) -> None:
        """Its ranks compute nothing together."""

    def collectives(self) -> None:
        return

    def load(self, load: Load, progress: Progress) -> None:
        self._behaviour = {"seconds": [0.01], **_configured()}
        self._noise = Noise(**self._behaviour.get("noise", {}))
        self._calls = 0
        self._now = 0.0
        self._wait = time.sleep
        if self._behaviour.get("virtual"):
            self.clock, self._wait = lambda: self._now, self._advance

    def _advance(self, seconds: float) -> None:
        self._now += seconds

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        call, self._calls = self._calls, self._calls + 1
        self._end_if(call == self._behaviour.get("fail_at"), call == self._behaviour.get("die_at"))
        seconds = self._behaviour["seconds"]
        self._wait(seconds[min(call, len(seconds) - 1)] * self._noise.factor(call))
        return Generation("", len(prompt.split()), self._behaviour.get("new_tokens", max_tokens))

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        size, tokens = len(prompts), len(prompts[0])
        outcome = self._behaviour.get("at_batch", {}).get(str(size))
        self._end_if(outcome == "fail", outcome == "die")
        if outcome == "sleep":
            time.sleep(600)
        cost = {"prompt_token": 0.0, "token": 0.0, "step": 0.001, **self._behaviour.get("cost", {})}
        self._wait(size * tokens * cost["prompt_token"] + max_tokens * (cost["step"] + size * cost["token"]))
        return [Generation("", tokens, max_tokens - (outcome == "short")) for _ in prompts]

    def vocabulary(self) -> list[int]:
        return list(range(32_000))

    @staticmethod
    def _end_if(fail: bool, die: bool) -> None:
        if fail:
            raise BenchError("the fake engine failed, as requested")
        if die:
            os.kill(os.getpid(), signal.SIGKILL)

    def answer(self, ids: list[int], max_tokens: int) -> list[int]:
        raise UsageError("the fake engine has no answers: quality needs a real one")

    def logits(self, ids: list[int], answer: list[int]):
        raise UsageError("the fake engine has no logits: quality needs a real one")

    def synchronize(self) -> None:
        """There is no device."""

    def reset_memory_peak(self) -> None:
        """There is no memory to measure."""

    def memory(self) -> Memory:
        self._end_if(self._behaviour.get("fail_memory", False), False)
        return Memory()


def _configured() -> dict:
    """The behaviour of this rank."""
    given = json.loads(os.environ.get("BENCH_FAKE", "{}"))
    return {**given, **given.get("ranks", {}).get(os.environ.get("RANK", "0"), {})}
