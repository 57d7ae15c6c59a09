from __future__ import annotations

from bench_deepspeed.benchmarks.common.columns import IDENTITY, MACHINE

QUALITY = {
    **IDENTITY,
    **MACHINE,
    "questions": "questions asked",
    "exact_answers": "answers with all tokens equal to the reference's",
    "first_difference": "the first token that differs in any answer; none where all are equal",
    "edit_similarity": "1 − edit distance ∕ length",
    "answer_gap": "the answer gap, in logits",
    **{
        f"{of}{place}_{name}": f"{meaning}, {words}" + (": Transformers in the same precision" if of else "")
        for of in ("", "floor_")
        for place, words in (
            ("early", "with the question first in the context"),
            ("late", "after the other questions and answers"),
        )
        for name, meaning in {
            "top1_disagreement": "share of positions where the largest logit is another token",
            "nll_difference": "ΔNLL, nats",
            "mean_kl": "mean KL, nats",
            "max_kl": "max KL, nats",
            "on_top_kl": "KL on top, nats",
        }.items()
        if not (of and name == "on_top_kl")
    },
    "within_noise_floor": "the verdict, by the rules of now",
    "verdict": "it in words",
}
