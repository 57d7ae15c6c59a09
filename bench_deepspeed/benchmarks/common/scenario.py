"""The scenario that flags describe, with its defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench_deepspeed.core import capabilities, user_files
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.text import counted
from bench_deepspeed.engines import DEFAULT_ENGINES, engine_class
from bench_deepspeed.machine.environment import default_device, require_gpu
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.model import catalog

from . import precisions, tensor_parallel

PROMPT = "Write an essay about the transformer model architecture"
PROMPT_HELP = f"the prompt of every generation (default: {PROMPT}; each generation has its words in another order)"
PROCESSES = {"cuda": 10, "cpu": 3}
"""With ten the interval covers the mean where three of ten processes are slow, at a cost that `TIME_BUDGET_S` limits;
three are the fewest that separate differences between processes from differences within them."""
REPETITIONS = {"cuda": 10, "cpu": 5}  # in each process
TIME_BUDGET_S = 600
MAX_TOKENS = {"cuda": 512, "cpu": 128}  # on a CPU a first try ends within a couple of minutes
MODEL = {"cuda": "llama", "cpu": "smollm2"}
WORKSPACE_BYTES = 1_000_000_000
"""Bytes kept free for everything but weights and KV cache; MII leaves as much where it sizes its own pool."""
METAL = "metal is not supported: DeepSpeed-MII runs on CUDA and DeepSpeed's init_inference on cuda and cpu; use -d cpu"


QUICK = {"max_tokens": 8, "processes": 1, "repetitions": 3, "warmups": 1}
"""What --quick sets where no flag does."""


def scenario_of(options: argparse.Namespace) -> Scenario:
    """Fill in the defaults that depend on the machine, and refuse impossible combinations.

    Raises UsageError for combinations that no machine can do, MachineError where this one lacks a GPU.
    """
    if options.device == "metal":
        raise UsageError(METAL)
    prompt = _prompt(options.prompt, getattr(options, "prompt_file", None))
    if options.time_budget and options.processes and options.target_ci is None:
        raise UsageError(
            "--time_budget limits processes that --processes does not request: give --target_ci as well, or leave "
            "--processes out"
        )
    quick = getattr(options, "quick", False)
    if quick:
        for name, value in QUICK.items():
            if getattr(options, name) is None:
                setattr(options, name, value)
    device = options.device or default_device()
    engine = options.engine or DEFAULT_ENGINES[device]
    precision = options.precision or default_precision(engine, device)
    model = options.model_name or MODEL[device]
    ranks = getattr(options, "tensor_parallel", None) or 1
    precisions.require_possible(catalog.load(model), engine, device, precision)
    tensor_parallel.require_possible(catalog.load(model), engine, device, precision, ranks)
    devices = {"-d": device, "--reference_device": getattr(options, "reference_device", None)}
    runs_here = not (getattr(options, "dry_run", False) or getattr(options, "needs_no_gpu", False))
    for flag, where in devices.items():
        if where == "cuda" and runs_here:
            require_gpu(flag)
    max_tokens = options.max_tokens or MAX_TOKENS[device]
    require_context(model, engine, 1, max_tokens)  # a prompt has a token at least
    if runs_here:
        precisions.require_here(engine, device, precision)
        tensor_parallel.require_here(device, engine, ranks)
    return Scenario(
        model=model,
        engine=engine,
        device=device,
        precision=precision,
        weights=options.weights,
        prompt=PROMPT if prompt is None else prompt,
        max_tokens=max_tokens,
        processes=options.processes or PROCESSES[device],
        repetitions=options.repetitions or REPETITIONS[device],
        warmups=options.warmups,
        seed=options.seed,
        target_ci=options.target_ci,
        time_budget_s=_time_budget_s(options),
        quick=quick,
        varied=prompt is None,
        tensor_parallel=ranks,
    )


def require_context(model: str, engine: str, prompt_tokens: int, new_tokens: int) -> None:
    """Refuse a request that the model's context cannot hold; the fake engine has none. Raises UsageError."""
    context = catalog.load(model).shape["max_position_embeddings"]
    if engine_class(engine).form is not None and prompt_tokens + new_tokens > context:
        raise UsageError(
            f"{counted(prompt_tokens, 'prompt token')} and {new_tokens:,} new ones do not fit the model's context of "
            f"{context:,} tokens: lower --max_tokens, or shorten the prompt"
        )


def _prompt(given: str | None, file: Path | None) -> str | None:
    """The prompt that the user gave, as it is or in a file; None where none was given. Raises UsageError."""
    if file is not None:
        if given is not None:
            raise UsageError("--prompt_file and --prompt both give the prompt: leave out one of them")
        given = user_files.text_of(file, "--prompt_file").strip()
    if given is not None and not given.strip():
        raise UsageError("the prompt is empty: give one with -p or --prompt_file")
    if any("\ud800" <= character <= "\udfff" for character in given or ""):
        raise UsageError("the prompt is not UTF-8 text: convert it, for one with iconv")
    return given


def _time_budget_s(options: argparse.Namespace) -> float | None:
    """Seconds after which no further process is started; None where all were requested."""
    all_requested = options.processes and options.target_ci is None
    return None if all_requested else options.time_budget or TIME_BUDGET_S


def default_precision(engine: str, device: str) -> str:
    """The device's, or the first that the engine runs in where it does not run in that."""
    can = capabilities.runs(engine, device)
    usual = capabilities.DEFAULT[device]
    return can[0] if can and usual not in can else usual
