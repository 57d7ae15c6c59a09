"""Engines whose timed path lies, on a small random Llama: each is found out, and the honest one is not."""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import no_progress, save_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig

from bench_deepspeed.benchmarks.sweep import batches, derived
from bench_deepspeed.benchmarks.sweep.records import SweepScenario
from bench_deepspeed.core.errors import ImpossibleError
from bench_deepspeed.engines.base import Generation, Load
from bench_deepspeed.engines.transformers import TransformersEngine
from bench_deepspeed.machine.probe import NoProbe
from bench_deepspeed.measure import audits
from bench_deepspeed.measure.records import Run, Scenario
from bench_deepspeed.worker import audit, tasks
from bench_deepspeed.worker.state import LoadedEngine, Worker

PROMPT, NEW_TOKENS = "deep speed of deep learning with deep speed", 12
LAYERS = 6
PREFILL_S = 0.1


class HalfTheWork(TransformersEngine):
    """It makes half of the tokens, and counts all."""

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        made = super().library_call(prompt, max(1, max_tokens // 2))
        return dataclasses.replace(made, new_tokens=max_tokens)


class Padded(TransformersEngine):
    """It makes half of the tokens, and fills the answer up with the last."""

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        made = super().library_call(prompt, max(1, max_tokens // 2))
        ids = made.ids.tolist()
        return dataclasses.replace(made, new_tokens=max_tokens, ids=ids + ids[-1:] * (max_tokens - len(ids)))


class FewerLayers(TransformersEngine):
    """Its timed path skips two thirds of the layers; its logits are the whole model's."""

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        layers, self.model.model.layers = self.model.model.layers, self.model.model.layers[: LAYERS // 3]
        try:
            return super().library_call(prompt, max_tokens)
        finally:
            self.model.model.layers = layers


class Clocked(TransformersEngine):
    """Its clock goes on by what a generation is said to cost, whatever this machine does meanwhile."""

    def load(self, load: Load, progress) -> None:
        super().load(load, progress)
        self._now, self.clock = 0.0, lambda: self._now
        self._seen: list = []

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        self._now += self._cost_s(prompt, max_tokens)
        return super().library_call(prompt, max_tokens)


class Remembering(Clocked):
    """It computes the answer to a prompt once."""

    def _cost_s(self, prompt: str, max_tokens: int) -> float:
        remembered = (prompt, max_tokens) in self._seen
        self._seen.append((prompt, max_tokens))
        return 0.01 if remembered else 0.1 * max_tokens


class Drafting(Clocked):
    """It takes its last answer as a draft: where the prompt is the same, a step confirms three tokens."""

    def _cost_s(self, prompt: str, max_tokens: int) -> float:
        drafted = self._seen[-1:] == [prompt]
        self._seen.append(prompt)
        return 0.1 * max_tokens / (3 if drafted else 1)


class KeepingPrompts(Clocked):
    """It reads only what follows the longest beginning that it has read before."""

    def _cost_s(self, prompt: str, max_tokens: int) -> float:
        ids = self.tokenizer(prompt).input_ids
        kept = max((_shared(ids, other) for other in self._seen), default=0)
        self._seen.append(ids)
        return PREFILL_S * (len(ids) - kept) + 0.1 * max_tokens


def _shared(ids: list[int], other: list[int]) -> int:
    """Tokens of the beginning that both have in common."""
    return next((place for place, pair in enumerate(zip(ids, other, strict=False)) if pair[0] != pair[1]), len(ids))


class TiringOut(Clocked):
    """From the middle of a long answer on it takes no time, and has the right tokens all the same."""

    def _cost_s(self, _prompt: str, max_tokens: int) -> float:
        return 0.1 * min(max_tokens, NEW_TOKENS // 2)


class ComputingOn(TransformersEngine):
    """It returns before a thread of it is done."""

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        made = super().library_call(prompt, max_tokens)
        threading.Thread(target=self._compute, args=(time.perf_counter() + 1.0,)).start()
        return made

    @staticmethod
    def _compute(end: float) -> None:
        matrix = torch.rand(1000, 1000)
        while time.perf_counter() < end:
            matrix @ matrix


class HandingOverLater(TransformersEngine):
    """It returns at once with an answer that a thread fills in."""

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        ids: list[int] = []

        def compute() -> None:
            time.sleep(0.2)
            ids.extend(self._continue(self.tokenizer(prompt).input_ids, max_tokens, eos=None).tolist())

        threading.Thread(target=compute).start()
        return Generation("", len(self.tokenizer(prompt).input_ids), max_tokens, ids)


class ComputedWhenRead(TransformersEngine):
    """It computes its answer when somebody looks at it."""

    def library_call(self, prompt: str, max_tokens: int) -> Generation:
        ids = self.tokenizer(prompt).input_ids
        return Generation("", len(ids), max_tokens, Later(self, ids, max_tokens))


class Later(list):
    """Token ids that are made when they are read."""

    def __init__(self, engine: TransformersEngine, ids: list[int], max_tokens: int):
        super().__init__()
        self._made = lambda: engine._continue(ids, max_tokens, eos=None).tolist()

    def tolist(self) -> list[int]:
        time.sleep(0.1)  # as a model that takes longer than this one
        return self._made()


LIARS: dict[type[TransformersEngine], str] = {
    HalfTheWork: "counts 12 new tokens of a generation whose answer has 6",
    Padded: "are not the model's",
    FewerLayers: "are not the model's",
    Remembering: "for a new prompt, and",
    Drafting: "for a new prompt, and",
    KeepingPrompts: "for a new prompt that is long, and",
    TiringOut: "a token of the second half of an answer takes process 1 0",
    ComputingOn: "continues to compute",
    ComputedWhenRead: "after the clock had stopped",
    HandingOverLater: "counts 12 new tokens of a generation whose answer has 0",
}


@pytest.fixture(autouse=True)
def few_objects():
    """What was made before is left out of each garbage collection, which would take longer than all else here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A random Llama of six layers with a tokenizer."""
    made = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(made)
    save_tokenizer(made)
    return made


@pytest.fixture
def timed(folder, tmp_path, monkeypatch) -> Callable[..., tuple[Run, Scenario]]:
    """What a process with that engine leaves: three timed generations and their audit."""

    def run(engine: type[TransformersEngine], precision: str = "float32", varied: bool = False) -> tuple[Run, Scenario]:
        monkeypatch.setattr(tasks, "engine_class", lambda _name: engine)
        worker = Worker(no_progress)
        tasks.load(worker, "transformers", Load(folder, "cpu", precision, tmp_path, [PROMPT], NEW_TOKENS))
        prompts = tasks.vary(worker, PROMPT, 3, 0) if varied else [PROMPT] * 3
        made = [tasks.generate(worker, prompt, NEW_TOKENS) for prompt in prompts]
        checked = tasks.check_timed(worker, NEW_TOKENS, 0)
        scenario = Scenario(
            "smollm2",
            "transformers",
            "cpu",
            precision,
            "random",
            PROMPT,
            NEW_TOKENS,
            processes=1,
            repetitions=len(made) - 1,
            warmups=1,
            seed=0,
            varied=varied,
        )
        return Run(warmups=made[:1], samples=made[1:], audit=checked), scenario

    return run


@pytest.mark.parametrize(("precision", "varied"), [("float32", False), ("bfloat16", True)])
def test_a_correct_engine_is_not_refused(timed, precision, varied):
    run, scenario = timed(TransformersEngine, precision, varied)
    found = run.audit
    audits.check_audit("process 1", run, found, scenario)
    assert found.is_whole
    assert found.given == ([0, 1, 2] if varied else [0, 0, 0])
    assert {len(ids) for ids in found.token_ids} == {NEW_TOKENS}
    assert len(found.checked) == len(found.gaps) == min(audit.ANSWERS, len(found.token_ids))
    assert len({len(times) for times in (found.first_s, found.half_s, found.new_prompt_s, found.repeated_s)}) == 1
    assert len(found.long_new_s) == len(found.long_repeated_s) == audit.LONG_PROMPTS
    assert found.rest_s is not None


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_a_wrong_engine_is_found(timed, liar):
    run, scenario = timed(liar)
    with pytest.raises(ImpossibleError, match=LIARS[liar]):
        audits.check_audit("process 1", run, run.audit, scenario)


@pytest.mark.parametrize("liar", [Remembering, Drafting, KeepingPrompts], ids=lambda liar: liar.__name__)
def test_what_is_remembered_saves_work_only_where_a_prompt_is_repeated(timed, liar):
    """With prompts of their own all repetitions compute; the audit finds it out all the same."""
    run, scenario = timed(liar, varied=True)
    repetitions_s = [sample.seconds for sample in run.samples]
    assert min(repetitions_s) > max(run.audit.repeated_s)
    with pytest.raises(ImpossibleError, match=LIARS[liar]):
        audits.check_audit("process 1", run, run.audit, scenario)


class OneForAll(TransformersEngine):
    """It computes the first sequence of a batch, and answers all with that."""

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        return super().generate_batch(prompts[:1], max_tokens) * len(prompts)


class ShortBatches(TransformersEngine):
    """It makes half of the tokens of a batch, and counts all."""

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        made = super().generate_batch(prompts, -(-max_tokens // 2))
        return [dataclasses.replace(generation, new_tokens=max_tokens) for generation in made]


class FewerLayersTogether(FewerLayers):
    """It skips two thirds of the layers where there is more than one sequence."""

    def generate_batch(self, prompts: list[list[int]], max_tokens: int) -> list[Generation]:
        layers, self.model.model.layers = self.model.model.layers, self.model.model.layers[: LAYERS // 3]
        try:
            return super().generate_batch(prompts, max_tokens)
        finally:
            self.model.model.layers = layers


BATCH_LIARS = {
    TransformersEngine: None,
    OneForAll: "the timed answers of batch 3 are not the model's",
    ShortBatches: "batch 3 counts 12 new tokens of a sequence whose answer has 6",
    FewerLayersTogether: "the timed answers of batch 3 are not the model's",
}


@pytest.mark.parametrize("engine", BATCH_LIARS, ids=lambda engine: engine.__name__)
def test_a_batch_is_held_against_its_sequences_alone(folder, tmp_path, engine):
    worker = Worker(no_progress)
    loaded = engine()
    loaded.load(Load(folder, "cpu", "float32", tmp_path, [], NEW_TOKENS), no_progress)
    worker.use(LoadedEngine(loaded, "cpu", NoProbe()))
    shape = {"batch_size": 3, "prompt_tokens": 8, "max_tokens": NEW_TOKENS}
    loaded.vocabulary = lambda: list(range(5, 128))  # the tokenizer has fewer tokens than the model
    times = batches.measure(worker, **shape, warmups=0, repetitions=1, seed=0)
    scenario = SweepScenario("transformers", "float32", **shape, total=times.total, check=times.check)
    assert len(scenario.check.rows) == len(scenario.check.gaps) == 2
    if BATCH_LIARS[engine] is None:
        derived.check_answers(scenario, "cpu")
    else:
        with pytest.raises(ImpossibleError, match=BATCH_LIARS[engine]):
            derived.check_answers(scenario, "cpu")
