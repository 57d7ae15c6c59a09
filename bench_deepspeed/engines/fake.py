"""An engine of known latency, for testing the harness's own arithmetic and behaviour; nothing else.

It needs no weights and makes no text. Its behaviour comes from the environment variable BENCH_FAKE, a
JSON object: `seconds` (a list, one entry a call, the last one repeated), `new_tokens` (what it claims to
have made; default: what was asked), `fail_at` (the call, counted from 0, at which it raises), `die_at`
(the call at which the process kills itself).
"""

from __future__ import annotations

import json
import os
import signal
import time

from ..errors import BenchError, UsageError
from .base import Engine, Generation, Load, Progress
from .memory import Memory


class FakeEngine(Engine):
    name = "fake"
    summary = "known latency, no model: for testing this suite"
    precisions = {"cpu": ("float32",)}
    form = None

    def load(self, load: Load, progress: Progress) -> None:
        self._behaviour = {"seconds": [0.01], **json.loads(os.environ.get("BENCH_FAKE", "{}"))}
        self._calls = 0

    def generate(self, prompt: str, max_tokens: int) -> Generation:
        call, self._calls = self._calls, self._calls + 1
        if call == self._behaviour.get("fail_at"):
            raise BenchError("the fake engine failed, as asked")
        if call == self._behaviour.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        seconds = self._behaviour["seconds"]
        time.sleep(seconds[min(call, len(seconds) - 1)])
        return Generation("", len(prompt.split()), self._behaviour.get("new_tokens", max_tokens))

    def answer(self, ids: list[int], max_tokens: int) -> list[int]:
        raise UsageError("the fake engine answers nothing: quality needs a real one")

    def logits(self, ids: list[int], answer: list[int]):
        raise UsageError("the fake engine has no logits: quality needs a real one")

    def synchronize(self) -> None:
        """There is no device."""

    def reset_memory_peak(self) -> None:
        """There is no memory to speak of."""

    def memory(self) -> Memory:
        return Memory()
