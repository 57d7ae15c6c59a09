"""What a service level leaves of a level's requests: goodput, and FastGen's effective throughput. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from .latency import e2e, tpot, ttft
from .records import Record, Sla

PROMPT_TOKENS_PER_S = 512
GENERATION_TOKENS_PER_S = (2, 4, 6)
"""FastGen's service level, as its post has it."""


def meets(record: Record, sla: Sla) -> bool:
    """Whether a request met the service level: TTFT, TPOT and E2E at most at its limits, where these are set.

    Several tokens that came all at once have no TPOT, and do not meet a limit of it.
    """
    first, each, whole = sla["ttft_s"], sla["tpot_s"], sla.get("e2e_s")  # older files have no limit of E2E
    within_first = first is None or ttft(record) <= first
    between = tpot(record)
    within_each = each is None or (record.new_tokens == 1 if between is None else between <= each)
    within_whole = whole is None or e2e(record) <= whole
    return record.error is None and within_first and within_each and within_whole


def goodput(ended: Iterable[Record], sla: Sla, seconds: float) -> float:
    """Requests that ended in so many seconds and met the service level, a second; never above the requests/s.

    That is the formula of vLLM's benchmark (`request_goodput` in `vllm/benchmarks/serve.py`): completed requests that
    meet every limit ∕ duration. Its duration is the whole test, and here the window.
    """
    return sum(meets(record, sla) for record in ended) / seconds


def meets_fastgen(record: Record, tokens_per_s: float) -> bool:
    """Whether a request met FastGen's service level at a generation rate.

    The first token at most prompt tokens ∕ 512 seconds after it was sent, and the moving average of the gaps always
    below 1 ∕ rate. Prompt tokens include what the tokenizer adds, such as a BOS; in FastGen's script they do not.
    """
    if record.error is not None or record.first_s - record.sent_s > record.prompt_tokens / PROMPT_TOKENS_PER_S:
        return False
    return record.slowest_ema_s is None or record.slowest_ema_s < 1 / tokens_per_s


def effective_throughput(records: Iterable[Record], tokens_per_s: float) -> float | None:
    """FastGen's effective throughput, requests a second; None where no request ended.

    n ∕ (last end − first start) · (requests within the service level ∕ n), over all requests that were timed
    (`calc_throughput` and `extract_values` with the moving average in microsoft/DeepSpeedExamples,
    `benchmarks/inference/mii/src/plot_effective_throughput.py`). A start is when a request was sent, and all requests
    of a level count, those before and after its window too. A failed request has no end and is not within. None as well
    where the tokens of a prompt are not known.
    """
    ended = [record for record in records if record.error is None]
    if not ended or any(record.prompt_tokens is None for record in ended):
        return None
    seconds = max(record.last_s for record in ended) - min(record.sent_s for record in ended)
    return sum(meets_fastgen(record, tokens_per_s) for record in ended) / seconds
