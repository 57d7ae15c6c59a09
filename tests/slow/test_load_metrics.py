"""Load tests in numbers: arrivals, lengths, percentiles, windows, service levels, saturation; no clock runs here."""

from __future__ import annotations

from builders import workload
from support import no_progress

from bench_deepspeed import weights
from bench_deepspeed.benchmarks.load import arrivals, prompts
from bench_deepspeed.model import catalog
from bench_deepspeed.simulations import saturation as simulated


def test_prompts_of_a_real_tokenizer_have_the_length_asked_for(smollm2_models_dir):
    from transformers import AutoTokenizer

    want = weights.Want("pretrained", "transformers", "float32", 0)
    folder = weights.prepare(smollm2_models_dir, catalog.load("smollm2"), want, no_progress).folder
    source = prompts.Tokens(AutoTokenizer.from_pretrained(folder), 2048)
    counts = [(asked.prompt_tokens, asked.prompt) for asked in prompts.requests(workload(prompt_tokens=300), source)]
    wanted = [prompt for prompt, _ in arrivals.lengths(workload(prompt_tokens=300), 2048, len(counts))]
    assert all(0 <= want - count <= 2 for want, (count, _) in zip(wanted, counts, strict=True))
    assert len({text[:40] for _, text in counts}) > 50


def test_a_queue_that_settles_is_told_from_one_that_does_not():
    """In virtual time; how often near the limit is in docs/results/simulations/saturation.json."""
    for kind in simulated.QUEUES:
        assert simulated.saturated(0.5, kind, services=1000, runs=20) == 0
        assert simulated.saturated(0.8, kind, services=1000, runs=20) == 0
        assert simulated.saturated(1.2, kind, services=1000, runs=20) >= 19
        assert simulated.saturated(1.5, kind, services=200, runs=20) >= 19
