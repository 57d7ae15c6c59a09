"""MII's own server of OpenAI's API in front of a deployment of `mii.serve`, as a user of MII would run it.

It listens on loopback and asks the deployment's load balancer. Its streams say nothing of the number of tokens, so the
model's tokenizer counts them. It always samples, here among one token, where `serve` takes the largest logit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import sys
import time

from bench_deepspeed.benchmarks.load.records import Request, TokenCount
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.ports import SERVE_LISTENS, free_port, require_free
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Streamed

from .base import Server, Setup, Target
from .openai import OpenAiTarget
from .serve import ServeTarget

START_S, POLL_S = 120, 0.1
"""How long the server may take until it listens; it imports torch first."""
HTTP_SERVER = "HTTP server"


class _Client(OpenAiTarget):
    """MII 0.3.3 compares `min_tokens` with the tokens of prompt and answer (batching/data_classes.py, `is_done`)."""

    knows_ignore_eos = False

    def least_tokens(self, request: Request) -> int:
        return request.prompt_tokens + request.max_tokens


class MiiOpenAiTarget(Target):
    name = "mii_openai"
    summary = "MII's own server of OpenAI's API, over HTTP, in front of mii.serve"
    service = "continuous batching, over HTTP through MII's server of OpenAI's API and its load balancer"
    engine = "mii"
    listens = SERVE_LISTENS
    exact_lengths = False

    def open(self, setup: Setup, progress: Progress) -> None:
        if setup.port:
            require_free(setup.port)  # the deployment takes minutes
        gateway = free_port()
        self._deployment = ServeTarget()
        self._deployment.open(dataclasses.replace(setup, port=gateway), progress)
        self.kv_admission = self._deployment.kv_admission
        self.connect(setup, gateway, progress)

    def connect(self, setup: Setup, gateway: int, progress: Progress) -> None:
        """Start the server in front of the load balancer at a port, and find out what it takes."""
        import psutil

        assert setup.folder is not None
        port = setup.port or free_port()
        # The model's name is its path, which is not to be published: relative to where the server runs, it is none.
        own = ["--host", "127.0.0.1", "--port", str(port), "--model", setup.folder.name]
        command = [sys.executable, "-m", "mii.entrypoints.openai_api_server", *own]
        self._process = subprocess.Popen(
            [*command, "--load-balancer", f"localhost:{gateway}"], cwd=setup.folder.parent, stdin=subprocess.DEVNULL
        )
        self._seen = psutil.Process(self._process.pid)
        self._await_server(port)
        server = Server(f"http://127.0.0.1:{port}/v1", "completions", model=setup.folder.name)
        self._client = _Client()
        self._client.open(dataclasses.replace(setup, server=server), progress)
        self.repeats = self._client.repeats

    def _await_server(self, port: int) -> None:
        """Wait until the server listens. Raises MachineError where it ends first, or takes too long."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if (code := self._process.poll()) is not None:
                raise MachineError(f"MII's server of OpenAI's API ended with code {code}, see the log")
            time.sleep(POLL_S)
        raise MachineError(f"MII's server of OpenAI's API did not listen within {START_S} s, see the log")

    def send(self, request: Request) -> Streamed:
        return self._client.send(request)

    def counted(self, request: Request, streamed: Streamed | None) -> TokenCount:
        return self._client.counted(request, streamed)

    def describe(self) -> dict:
        own = {name: value for name, value in self._client.describe().items() if name not in ("url", "model")}
        return {**self._deployment.describe(), **own}

    def cpu_s(self) -> dict[str, float]:
        return {**self._deployment.cpu_s(), HTTP_SERVER: sum(self._seen.cpu_times()[:2])}

    def check(self) -> None:
        self._deployment.check()
        if (code := self._process.poll()) is not None:
            raise BenchError(f"MII's server of OpenAI's API ended with code {code} while requests were under way")

    def close(self) -> None:
        with contextlib.ExitStack() as ended:  # each, whatever the others raise
            ended.callback(self._deployment.close)
            ended.callback(self._process.wait)
            ended.callback(self._process.kill)
            ended.callback(self._client.close)
