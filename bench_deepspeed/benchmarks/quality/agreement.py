"""How far a candidate is from the reference, as numbers. docs/method/quality.md has the formulas."""

from __future__ import annotations

from collections.abc import Sequence

from bench_deepspeed.worker.audit import largest_gap


def free_running(reference: Sequence[int], answer: Sequence[int]) -> dict:
    """Compare two generated token sequences, each ended by EOS or the limit.

    `first_difference` is the index of the first token that differs, None when none does;
    `edit_similarity` is 1 - Levenshtein distance / length of the longer one (V. Levenshtein, 1966).
    """
    from rapidfuzz.distance import Levenshtein

    shared = min(len(reference), len(answer))
    differing = (i for i in range(shared) if reference[i] != answer[i])
    exact = list(reference) == list(answer)
    return {
        "exact_match": exact,
        "first_difference": None if exact else next(differing, shared),
        "edit_similarity": Levenshtein.normalized_similarity(list(reference), list(answer)),
    }


def answer_gap(logits, reference: Sequence[int], answer: Sequence[int], eos: int) -> float:
    """How far an engine's own answer is from what its own logits prefer, in natural units of log-probability.

    `logits`, of shape (len(reference), vocabulary), are the engine's on the reference's tokens, so they stand
    behind its answer up to the first token that differs; an answer that is over too early differs by the
    end-of-sequence token `eos`. A greedy engine takes the largest logit: there the gap is 0, or at a near-tie
    what two orders of summation leave. Anything more means that it did not generate from these logits: it
    sampled, filtered them, or ended where it should not.
    """
    taken = [*answer, *([eos] if len(answer) < len(reference) else [])][: len(reference)]
    same = next((i for i, token in enumerate(taken) if token != reference[i]), len(taken) - 1)
    return largest_gap(logits[: same + 1], taken[: same + 1])


def past_end(answer: Sequence[int], max_tokens: int, eos: int) -> int:
    """Tokens of an answer behind its end: behind its first end-of-sequence token `eos`, or behind `max_tokens`."""
    end = answer.index(eos) + 1 if eos in answer else len(answer)
    return len(answer) - min(end, max_tokens)


def teacher_forced(reference_logits, candidate_logits, tokens: Sequence[int]) -> dict:
    """Compare two models' logits, both of shape (len(tokens), vocabulary), on the reference's tokens.

    With p the reference's and q the candidate's softmax at each position, in natural units:
    `top1_agreement` is the share of positions with the same largest logit; `nll` differences are
    -log q(token) + log p(token); `kl` is the sum over the vocabulary of p (log p - log q)
    (S. Kullback and R. Leibler, 1951). Lists hold one value a position.
    """
    import torch

    log_p = torch.log_softmax(reference_logits.double(), dim=-1)
    log_q = torch.log_softmax(candidate_logits.double(), dim=-1)
    index = torch.tensor(tokens).unsqueeze(1)
    kl = (log_p.exp() * (log_p - log_q)).sum(dim=-1).clamp(min=0.0)  # rounding may leave -1e-17
    nll = (log_p - log_q).gather(1, index).squeeze(1)
    same = reference_logits.argmax(dim=-1) == candidate_logits.argmax(dim=-1)
    return {"top1_agreement": same.double().mean().item(), "nll_differences": nll.tolist(), "kl": kl.tolist()}
