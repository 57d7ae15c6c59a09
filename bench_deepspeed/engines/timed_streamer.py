"""Transformers' own streamer to text, which notes times; in a module of its own because it imports transformers."""

from __future__ import annotations

from collections.abc import Callable

from transformers import TextStreamer


class TimedStreamer(TextStreamer):
    """`times` holds when each token had reached the caller as text, whole words or not."""

    def __init__(self, tokenizer, clock: Callable[[], float]):
        super().__init__(tokenizer, skip_prompt=True)
        self._clock = clock
        self.times: list[float] = []

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Called after each token; the call at the end brings no token."""
        if not stream_end:
            self.times.append(self._clock())
