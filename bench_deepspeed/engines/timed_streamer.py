"""Transformers' own streamer to text, which notes times; in a module of its own because it imports transformers."""

from __future__ import annotations

from collections.abc import Callable

from transformers import TextStreamer


class TimedStreamer(TextStreamer):
    """`times` holds when each token had reached the caller as text, whole words or not; `ids` the tokens."""

    def __init__(self, tokenizer, clock: Callable[[], float]):
        super().__init__(tokenizer, skip_prompt=True)
        self._clock = clock
        self.times: list[float] = []
        self.ids: list[int | str] = []

    def put(self, value) -> None:
        """Called with the prompt, and then with each token; a tensor on the CPU."""
        if not self.next_tokens_are_prompt:
            self.ids.extend(value.tolist())
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Called after each token; the call at the end brings no token."""
        if not stream_end:
            self.times.append(self._clock())
