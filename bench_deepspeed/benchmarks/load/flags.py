"""The flags of `bench.sh load`, and what cannot be among them. Imports nothing that takes time."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from bench_deepspeed.benchmarks.common.flags import (
    add_choice,
    add_common,
    add_dry_run,
    add_gpu_hour,
    add_output,
    add_place,
    add_tensor_parallel,
)
from bench_deepspeed.benchmarks.common.scenario import PROMPT
from bench_deepspeed.benchmarks.load.objective import EXAMPLE, MLPERF, MOST_RATE, slo
from bench_deepspeed.benchmarks.load.targets import DEFAULT_TARGETS, OPENAI, TARGETS, target_class
from bench_deepspeed.core import capabilities, number_lists
from bench_deepspeed.core.arguments import Parser, port, positive_integer, seconds, spread
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.text import REMOTE
from bench_deepspeed.engines import engine_class
from bench_deepspeed.machine.environment import default_device

PROMPT_TOKENS = {"cuda": 512, "cpu": 32, REMOTE: 512}
MAX_TOKENS = {"cuda": 256, "cpu": 8, REMOTE: 256}
SECONDS = {"cuda": 60.0, "cpu": 20.0, REMOTE: 60.0}
CLIENTS = {"cuda": [1, 2, 4, 8, 16, 32], "cpu": [1, 2], REMOTE: [1, 2, 4, 8, 16, 32]}
TIMEOUT_S = 300.0
APIS = ("completions", "chat")


def add(parser) -> None:
    """Add the flags of a load test to a parser."""
    parser.add_argument(
        "--target",
        choices=TARGETS,
        help=f"{'; '.join(f'{name}: {target_class(name).summary}' for name in TARGETS)} "
        f"(default: {DEFAULT_TARGETS['cuda']}, on cpu {DEFAULT_TARGETS['cpu']})",
    )
    _add_server(parser)
    _add_levels(parser)
    _add_lengths(parser)
    parser.add_argument(
        "--seconds",
        type=seconds,
        metavar="S",
        help="of each level's steady window, which is longer where its requests are "
        f"(default: {SECONDS['cuda']:g}, on cpu {SECONDS['cpu']:g})",
    )
    parser.add_argument(
        "--p99", action="store_true", help="windows as long as a 99th percentile needs; how long is said beforehand"
    )
    parser.add_argument(
        "--sla_ttft", type=seconds, metavar="S", help="service level: the first token after S seconds at most"
    )
    parser.add_argument(
        "--sla_tpot", type=seconds, metavar="S", help="service level: each further token after S seconds at most"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=TIMEOUT_S,
        metavar="S",
        help="a request without its answer after this has failed (default: %(default)g)",
    )
    parser.add_argument(
        "--port", type=port, metavar="N", help="where serve, mii_openai and stub listen (default: any free one)"
    )
    parser.add_argument(
        "--beside", type=Path, nargs="+", default=[], metavar="FILE", help="load.json files to draw into the same plot"
    )
    add_tensor_parallel(parser)
    add_gpu_hour(parser)


def _add_server(parser) -> None:
    parser.add_argument(
        "--url", type=_url, metavar="URL", help="of --target openai: http://host:port, or with its path"
    )
    parser.add_argument(
        "--api", choices=APIS, help=f"of --target openai: plain prompts, or messages (default: {APIS[0]})"
    )
    parser.add_argument(
        "--served_model", metavar="ID", help="of --target openai: the model (default: the first that the server lists)"
    )
    parser.add_argument(
        "--api_key_env",
        metavar="NAME",
        help="of --target openai: the environment variable with the server's key, such as OPENAI_API_KEY; the key is "
        "neither shown nor saved (default: no key is sent)",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="DIR",
        help="of --target openai: a local folder with the model's tokenizer; it makes prompts of exact lengths, counts "
        "tokens where the server does not, and checks its counts where it does",
    )
    parser.add_argument(
        "--gpus", type=positive_integer, metavar="N", help="of --target openai: GPUs that the server uses, for its cost"
    )


def _add_levels(parser) -> None:
    parser.add_argument(
        "--clients",
        type=number_lists.numbers,
        metavar="N,N…",
        help="levels of a closed loop: so many clients, each of which sends when its last request ended "
        f"(default, without --rates and --trace: {_shown(CLIENTS['cuda'])}, on cpu {_shown(CLIENTS['cpu'])})",
    )
    parser.add_argument(
        "--rates",
        type=_rates,
        metavar="R,R…",
        help="levels of an open loop: requests a second, as a Poisson process; ends at the first that is not sustained",
    )
    parser.add_argument(
        "--slo",
        type=slo,
        metavar="LIMITS",
        help=f"search the highest rate that attains these limits, such as '{EXAMPLE}', or one of MLPerf's, such as "
        f"{MLPERF}llama2-70b; --rates with one rate is where the search begins",
    )
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help='requests at their times, of Mooncake, BurstGPT, Azure, or one a line as {"arrival_s": 0.5, '
        '"prompt_tokens": 100, "output_tokens": 20}; with --seconds its first ones',
    )
    parser.add_argument(
        "--burstiness",
        type=_shape,
        metavar="X",
        help="of --rates and --slo: the shape of the gamma distribution of the gaps between requests, below 1 for "
        "bursts (default: 1, a Poisson process)",
    )
    parser.add_argument(
        "--ramp", type=seconds, metavar="S", help="of --rates and --slo: each rate rises from zero in S seconds first"
    )


def _add_lengths(parser) -> None:
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="real prompts: text with one a line, JSON as for --questions, or conversations of ShareGPT, whose answers "
        "say how many tokens are requested",
    )
    parser.add_argument(
        "--shared_prefix",
        type=positive_integer,
        metavar="N",
        help="tokens that all prompts begin with, in addition to --prompt_tokens (default: no two prompts begin alike)",
    )
    parser.add_argument(
        "--prompt_tokens",
        type=positive_integer,
        metavar="N",
        help=f"tokens of a prompt (default: {PROMPT_TOKENS['cuda']}, on cpu {PROMPT_TOKENS['cpu']})",
    )
    parser.add_argument(
        "-m",
        "--max_tokens",
        type=positive_integer,
        metavar="N",
        help=f"tokens of an answer, exactly (default: {MAX_TOKENS['cuda']}, on cpu {MAX_TOKENS['cpu']})",
    )
    parser.add_argument(
        "--spread",
        type=spread,
        metavar="P%",
        default=0.0,
        help="standard deviation of the lengths, which are normal, over their mean, such as 30%% (default: all alike)",
    )


def check(options: argparse.Namespace) -> None:
    """Fill in the defaults that depend on the machine. Raises UsageError for what cannot be together."""
    if options.target is None:
        options.target = DEFAULT_TARGETS["cpu" if (options.device or default_device()) != "cuda" else "cuda"]
    target = target_class(options.target)
    _check_server(options)
    if target.engine and options.engine not in (None, target.engine):
        raise UsageError(f"--target {target.name} is made of {target.engine}: leave out --engine {options.engine}")
    if options.device == "cpu" and target.engine and "cpu" not in (can := capabilities.devices(target.engine)):
        raise UsageError(
            f"--target {target.name} is made of {target.engine}, which runs on {', '.join(can)}: leave out -d cpu, or "
            f"use --target {DEFAULT_TARGETS['cpu']}"
        )
    options.engine = target.engine or options.engine
    if target.name == "stub":
        options.device = options.device or "cpu"
    if (options.tensor_parallel or 1) > 1 and not target.splits:
        raise UsageError(
            f"--tensor_parallel: --target {target.name} runs on one rank; sequential takes several, of deepspeed and "
            "transformers"
        )
    if not target.engine and options.engine and not engine_class(options.engine).streams:
        raise UsageError(f"--engine {options.engine} does not stream: there would be no first token to time")
    _check_requests(options)
    _check_slo(options)
    if options.rates and options.rates != sorted(set(options.rates)):
        raise UsageError("--rates must rise, since the first that is not sustained ends them")


def _check_requests(options: argparse.Namespace) -> None:
    """Raises UsageError for flags of requests, of which one sets what another sets as well."""
    if options.trace:
        given = {"--clients": options.clients, "--rates": options.rates, "--prompts": options.prompts}
        given |= {"--prompt_tokens": options.prompt_tokens, "--max_tokens": options.max_tokens}
        given |= {"--spread": options.spread, "--p99": options.p99}
        for flag, value in given.items():
            if value:
                raise UsageError(f"--trace sets when and how long requests are: leave out {flag}")
    if options.shared_prefix and (options.trace or options.prompts):
        raise UsageError("--shared_prefix is of prompts that are made, not of a file's: leave it out")
    for flag in (flag for flag in ("burstiness", "ramp") if getattr(options, flag) is not None):
        if not (options.rates or options.slo):
            raise UsageError(f"--{flag} is of request rates: give --rates or --slo, or leave it out")
    if options.prompts and options.prompt_tokens:
        raise UsageError("--prompts sets the prompts: leave out --prompt_tokens")


def _check_slo(options: argparse.Namespace) -> None:
    """Raises UsageError for flags that set what a search sets."""
    given = {"--clients": options.clients, "--trace": options.trace, "--p99": options.p99}
    given |= {"--sla_ttft": options.sla_ttft, "--sla_tpot": options.sla_tpot}
    for flag in (flag for flag, value in given.items() if value and options.slo):
        raise UsageError(f"--slo sets the levels and what they must meet: leave out {flag}")
    if options.slo and len(options.rates or []) > 1:
        raise UsageError("--slo searches the rate: give --rates one, where the search begins, or none")
    if options.slo and max(options.rates or [0]) > MOST_RATE:
        raise UsageError(f"--slo searches up to {MOST_RATE:,g} requests/s: begin below that")


def _check_server(options: argparse.Namespace) -> None:
    """Raises UsageError where flags of a server that is up, and of one that is started here, are mixed."""
    own = {"--url": options.url, "--api": options.api, "--served_model": options.served_model}
    own |= {"--api_key_env": options.api_key_env, "--tokenizer": options.tokenizer, "--gpus": options.gpus}
    if options.target != OPENAI:
        for flag in (flag for flag, value in own.items() if value is not None):
            raise UsageError(f"{flag} is of --target {OPENAI}: leave it out, or give --target {OPENAI}")
        return
    others = {"--engine": options.engine, "-d": options.device, "-n": options.model_name, "--port": options.port}
    others |= {"--precision": options.precision, "--weights": options.weights == "random" or None}
    for flag in (flag for flag, value in others.items() if value is not None):
        raise UsageError(f"{flag}: the server of --target {OPENAI} has its own model: leave {flag} out")
    if options.url is None:
        raise UsageError(f"--target {OPENAI} needs --url: where the server listens, such as http://localhost:8000")
    if options.api_key_env is not None and not re.fullmatch(r"[!-~]+", os.environ.get(options.api_key_env, "")):
        raise UsageError(
            f"--api_key_env {options.api_key_env}: this environment variable is not set to a key, which is ASCII "
            "without spaces"
        )
    if options.tokenizer is not None and not list(options.tokenizer.glob("tokenizer*")):
        raise UsageError(f"--tokenizer {options.tokenizer} is not a folder with a tokenizer (tokenizer.json)")


def levels_of(options: argparse.Namespace, device: str) -> list[tuple[int | None, float | None]]:
    """The levels in their order, each as (clients, requests a second); (None, None) is the trace."""
    clients = options.clients or ([] if options.rates or options.trace else CLIENTS[device])
    levels: list[tuple[int | None, float | None]] = [(number, None) for number in clients]
    return levels + [(None, rate) for rate in options.rates or []] + ([(None, None)] if options.trace else [])


def _rates(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < value < float("inf") for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers above 0, such as 1,2,4")
    return values


def _shape(text: str) -> float:
    """The shape of a gamma distribution, from a level that is one burst to gaps that are all alike."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.01 to 100")
    return value


def _url(text: str) -> str:
    """The URL of an API, with a version where it names no path. The message never shows what may be a credential."""
    try:
        parts = urlsplit(text)
        _ = parts.port, (parts.hostname or "").encode("idna")  # raise for what is none
    except ValueError:
        parts = urlsplit("")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(
            "give it without credentials, `?` and `#`: the key is read from an environment variable (--api_key_env)"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"[!-~]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as http://localhost:8000")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def _shown(values: list) -> str:
    return ",".join(map(str, values))


def load_parser() -> Parser:
    """The command line of `bench.sh load`."""
    parser = Parser(
        prog="bench.sh load",
        description="Sends requests from clients that wait for their answers, or at rates whatever comes back, and "
        "writes throughput, latency and what a service level leaves of them to load.json, load.svg and load.png.",
    )
    add(parser)
    add_choice(parser)
    add_place(parser)
    add_dry_run(parser)
    add_output(parser)
    add_common(parser)
    parser.set_defaults(prompt=PROMPT, warmups=0, processes=1, repetitions=1, target_ci=None, time_budget=None)
    return parser
