"""Prompts by a real tokenizer, and the simulated queues at length."""

from __future__ import annotations

import itertools

from builders import workload
from support import no_progress

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.load import arrivals, prompts
from bench_deepspeed.model import catalog
from bench_deepspeed.simulations import saturation as simulated


def test_prompts_of_a_real_tokenizer_have_their_length_and_share_no_prefix(smollm2_models_dir):
    from transformers import AutoTokenizer

    want = weights.Want("pretrained", "transformers", "float32", 0)
    folder = weights.prepare(smollm2_models_dir, catalog.load("smollm2"), want, no_progress).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    source = prompts.Tokens(tokenizer, 2048, seed=0)
    asked = workload(prompt_tokens=300)
    different = prompts.requests(asked, source)
    wanted = [prompt for prompt, _ in arrivals.lengths(asked, 2048, len(different))]
    assert [one.prompt_tokens for one in different] == wanted
    sent = [one for level in (1, 2) for one in itertools.islice(prompts.endless(different, source, level), 700)]
    ids = [tokenizer(one.prompt).input_ids for one in sent]
    assert [len(tokens) for tokens in ids] == [one.prompt_tokens for one in sent]
    assert len({tuple(tokens[: prompts.HEAD]) for tokens in ids}) == len(ids)


def test_a_queue_that_settles_is_distinguished_from_one_that_does_not():
    """In virtual time; how often near the limit is in docs/results/simulations/saturation.json."""
    for kind in simulated.QUEUES:
        assert simulated.states(0.5, kind, services=1000, runs=4) == {"sustained": 4, "not sustained": 0}
        assert simulated.states(1.2, kind, services=1000, runs=4) == {"sustained": 0, "not sustained": 4}
