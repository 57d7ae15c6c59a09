"""Answers that were published for a model elsewhere, before this suite measured it."""

from __future__ import annotations

from bench_deepspeed.benchmarks.common import questions
from bench_deepspeed.core.paths import QUESTIONS
from bench_deepspeed.report.blocks import Block, Section, Text

from .view import published_answers

SOURCE = "Once published by [premAI-io/benchmarks](https://github.com/premAI-io/benchmarks), not measured by this suite"


def published_elsewhere(model: str) -> list[Block]:
    """The answers next to each other, and where they come from; nothing where there are none."""
    answers = published_answers(questions.load(QUESTIONS), model)
    return [Section("Answers published elsewhere", [Text(SOURCE), answers], True, documented=True)] if answers else []
