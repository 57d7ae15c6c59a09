"""A persistent deployment: `mii.serve`, called through MII's own gRPC client, token by token.

MII's servers listen on all interfaces and take no other address (`mii.grpc_related`, `_do_serve`); the
client connects over loopback. They read the tokenizer with `trust_remote_code=True`: `weights.own_code` refuses a
folder that would make use of that. `MIIClient.generate` blocks an event loop for each request, so the
coroutine inside it is run here, many at a time on one loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.core.errors import BenchError, MachineError
from bench_deepspeed.core.ports import SERVE_LISTENS, free_port, require_free
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.core.units import gigabytes
from bench_deepspeed.engines.base import Streamed
from bench_deepspeed.machine.environment import gpus

from .base import RequestError, Setup, Target
from .kv_admission import KvAdmission

if TYPE_CHECKING:
    import psutil

STOP_S = 15  # a deployment that has not ended by itself after this is killed with the worker
SERVE_WORKSPACE_BYTES = 3_000_000_000
"""Left free next to weights and KV cache, for MII's workspace and the CUDA contexts of its processes."""


class ServeTarget(Target):
    name = "serve"
    summary = "mii.serve, a persistent deployment, over its own gRPC client"
    service = "continuous batching, over gRPC through MII's load balancer"
    engine = "mii"
    listens = SERVE_LISTENS

    def open(self, setup: Setup, progress: Progress) -> None:
        from bench_deepspeed.engines import kernels

        gateway, gpu = setup.port or free_port(), gpu_number(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        require_free(gateway)
        kernels.build(capability_of(gpu), setup.log_folder, progress)
        # mii.serve starts `deepspeed` by its name, and keeps a file in its cache folder.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self._cache = tempfile.TemporaryDirectory()
        os.environ["MII_CACHE_PATH"] = self._cache.name
        import mii
        import psutil

        blocks, block_tokens = _pool(setup.folder)
        self.kv_admission, self._described = KvAdmission(blocks, block_tokens), {"kv_blocks": blocks}
        self.connect(lambda: mii.serve(str(setup.folder), **deployment(gateway, gpu, blocks)), setup.timeout_s)
        self._processes = psutil.Process().children(recursive=True)
        self._servers = servers({process: process.cmdline() for process in self._processes})

    def connect(self, make_client, timeout_s: float) -> None:
        """Start the event loop of the client that `make_client` returns, and create the client there."""
        self._timeout_s = timeout_s
        self._processes: list[psutil.Process] = []
        self._servers: dict[str, psutil.Process] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._client = self._run(_create(make_client)).result()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def send(self, request: Request) -> Streamed:
        import grpc

        try:
            return self._run(asyncio.wait_for(self._stream(request), self._timeout_s)).result()
        except grpc.aio.AioRpcError as error:
            raise RequestError(f"gRPC {error.code().name}: {error.details()}") from error
        except asyncio.TimeoutError as error:
            raise RequestError("timeout") from error

    async def _stream(self, request: Request) -> Streamed:
        settings = {"stream": True, "max_new_tokens": request.max_tokens, "do_sample": False, "ignore_eos": True}
        streamed = Streamed([], [])
        async for (response,) in self._client._request_async_response_stream([request.prompt], **settings):
            if response.finish_reason == "none":  # the message with a reason comes after the last token, and is empty
                streamed.times.append(time.perf_counter())
                streamed.tokens.append(response.generated_text)
        return streamed

    def describe(self) -> dict:
        return self._described

    def cpu_s(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._servers.items()}

    def check(self) -> None:
        import psutil

        for process in self._processes:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                raise BenchError(f"a process of the deployment ended while requests were under way ({process.pid})")

    def close(self) -> None:
        import psutil

        self._run(self._client.terminate_async()).result(STOP_S)
        psutil.wait_procs(self._processes, STOP_S)
        self._cache.cleanup()


def servers(commands: dict[psutil.Process, list[str]]) -> dict[str, psutil.Process]:
    """MII's two servers among the processes of a deployment; the others are the launcher's."""
    python = {p: command for p, command in commands.items() if "mii.launch.multi_gpu_server" in command}
    return {"load balancer" if "--load-balancer" in command else "model server": p for p, command in python.items()}


async def _create(make_client):
    return make_client()


def _pool(folder: Path) -> tuple[int, int]:
    """How many KV blocks the GPU has room for next to these weights, and tokens in each.

    By default MII takes all but 1 GB, and does not report how many blocks that is.
    """
    import torch
    from transformers import AutoConfig

    from bench_deepspeed.engines import mii

    config = AutoConfig.from_pretrained(folder)
    free, _ = torch.cuda.mem_get_info()
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    tokens = mii.block_tokens(config.head_dim)
    values = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * tokens
    blocks = (free - weights - SERVE_WORKSPACE_BYTES) // (values * config.dtype.itemsize)
    if blocks < 1:
        raise MachineError(f"{gigabytes(free)} of GPU memory are free: too little for {gigabytes(weights)} of weights")
    return blocks, tokens


def gpu_number(visible: str) -> int:
    """The GPU to serve on: MII's launcher counts all of them, whatever CUDA_VISIBLE_DEVICES is."""
    first = visible.split(",", maxsplit=1)[0].strip()
    if first and not first.isdigit():
        raise MachineError(f"mii.serve takes a GPU by its number: CUDA_VISIBLE_DEVICES is {visible!r}, set it to one")
    return int(first or 0)


def capability_of(gpu: int) -> tuple[int, int]:
    """The compute capability of a GPU by its number. Raises MachineError where nvidia-smi does not say it."""
    shown = gpus()
    if gpu < len(shown) and re.fullmatch(r"\d+\.\d+", shown[gpu].capability):
        major, minor = shown[gpu].capability.split(".")
        return int(major), int(minor)
    raise MachineError(f"nvidia-smi does not say the compute capability of GPU {gpu}: update the driver")


def deployment(gateway: int, gpu: int, blocks: int) -> dict:
    """What `mii.serve` is given in addition to the model: every port (its own defaults are fixed), the GPU and its
    pool."""
    replica = {
        "hostname": "localhost",
        "tensor_parallel_ports": [free_port()],
        "torch_dist_port": free_port(),
        "gpu_indices": [gpu],
        "zmq_port": free_port(),
    }
    return {
        "deployment_name": f"bench-{os.getpid()}",
        "port_number": gateway,
        "replica_configs": [replica],
        "inference_engine_config": {"state_manager": {"memory_config": {"mode": "allocate", "size": blocks}}},
    }
