"""The client of a persistent deployment, through MII's own gRPC servers and balancer; the model is a stand-in."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
import tokenizers
from support import wait_until
from transformers import PreTrainedTokenizerFast

from bench_deepspeed.benchmarks.load.records import Request
from bench_deepspeed.benchmarks.load.targets.base import RequestError, Setup
from bench_deepspeed.benchmarks.load.targets.mii_openai import MiiOpenAiTarget
from bench_deepspeed.benchmarks.load.targets.serve import ServeTarget, deployment
from bench_deepspeed.core.errors import BenchError
from bench_deepspeed.core.ports import free_port


class Pipeline:
    """Speaks as `MIIAsyncPipeline` does to its server: N tokens come as N + 1 messages, in the thread that asked."""

    def __init__(self):
        self._local = threading.local()
        self.requested: list[dict] = []

    def put_request(self, prompt: str, kwargs: dict) -> int:
        self.requested.append(kwargs)
        if prompt == "refuse":
            raise ValueError("refused")
        self._local.messages = queue.Queue()
        for number in range(kwargs["max_new_tokens"]):
            self._local.messages.put((f"{prompt}{number}", "none"))
        self._local.messages.put(("", "length"))
        self._local.wait = prompt == "hang"
        return 1

    def get_response(self):
        from mii.batching.data_classes import Response
        from mii.constants import GenerationFinishReason

        if self._local.wait:
            time.sleep(3)
        text, reason = self._local.messages.get()
        return 1, Response(text, 1, 1, GenerationFinishReason(reason))

    def flush_uid(self, uid: int) -> None:
        """Nothing is kept."""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serve_in_thread(servers, service, port: int, interceptors: tuple = ()) -> threading.Thread:
    """One of MII's servers, which listens when this returns."""
    thread = threading.Thread(target=servers._do_serve, args=(service, port, interceptors))
    thread.start()
    wait_until(lambda: listens(port))
    return thread


PIPELINE = Pipeline()


@pytest.fixture(scope="module")
def target():
    """A target connected to a real load balancer, which asks a real server of MII with the stand-in behind it."""
    import asyncio

    import mii
    from mii.grpc_related import modelresponse_server as servers

    settings = deployment(free_port(), gpu=0, blocks=100)
    port, replicas = settings["port_number"], settings["replica_configs"]
    model = mii.config.ModelConfig(model_name_or_path="none", replica_configs=replicas)
    (own_port,) = replicas[0]["tensor_parallel_ports"]
    behind = servers.ModelResponse(async_pipeline=PIPELINE)
    serving = [serve_in_thread(servers, behind, own_port)]
    asyncio.set_event_loop(asyncio.new_event_loop())
    balancer = servers.LoadBalancingInterceptor(model)
    service = servers.ServiceBase()
    serving.append(serve_in_thread(servers, service, port, [balancer]))
    config = mii.config.MIIConfig(model_config=model, port_number=port)
    connected = ServeTarget()
    connected.connect(lambda: mii.backend.MIIClient(config, host="localhost"), timeout_s=1.5)
    yield connected
    # MII's balancer has threads that Python waits for at exit: first those of requests, then that of its loop.
    for thread in threading.enumerate():
        if "call_invoker" in thread.name:
            thread.join()
    balancer.asyncio_loop.call_soon_threadsafe(balancer.asyncio_loop.stop)
    for part in (service, behind):
        part.get_stop_event().set()
    for thread in serving:
        thread.join()


def test_each_token_is_timed_and_the_empty_message_is_none(target):
    before = time.perf_counter()
    streamed = target.send(Request("a", 1, 5))
    times = streamed.times
    assert streamed.tokens == ["a0", "a1", "a2", "a3", "a4"]
    assert len(times) == 5
    assert before < times[0] <= times[-1] < time.perf_counter()
    kwargs = PIPELINE.requested[-1]
    assert (kwargs["ignore_eos"], kwargs["do_sample"], kwargs["stream"]) == (True, False, True)


def test_miis_own_server_of_openais_api_is_put_in_front(target, tmp_path):
    folder = tmp_path / "a model"
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, "[UNK]")).save(str(folder.with_suffix(".json")))
    folder.mkdir()
    PreTrainedTokenizerFast(tokenizer_file=str(folder.with_suffix(".json")), unk_token="[UNK]").save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    setup = Setup("mii", folder, "cuda", "float16", tmp_path, 8, timeout_s=10)
    opened = MiiOpenAiTarget()
    opened._deployment = SimpleNamespace(check=lambda: None, describe=dict, cpu_s=dict, close=lambda: None)
    opened.connect(setup, target._client.port, lambda label, done, total: None)
    try:
        answer = opened.send(Request("a", 1, 5))
        assert (answer.text, len(answer.times)) == ("a0a1a2a3a4", 5)
        least, most = (PIPELINE.requested[-1][name] for name in ("min_new_tokens", "max_new_tokens"))
        assert (least, most) == (1 + 5, 5)  # MII counts the prompt's tokens as well
        assert opened.counted(Request("a", 1, 5), answer).by == "tokenizer"
        assert opened.describe()["lengths"] == "min_tokens"
        assert str(tmp_path) not in json.dumps(opened.describe())
        (listening,) = [c.laddr.ip for c in opened._seen.net_connections() if c.status == "LISTEN"]
        assert listening == "127.0.0.1"
        opened._process.kill()
        opened._process.wait()
        with pytest.raises(BenchError, match="ended with code -9 while requests were under way"):
            opened.check()
    finally:
        opened.close()


def test_miis_servers_listen_on_every_interface_as_the_suite_says(target):
    """When MII offers another address, `network.SERVE_LISTENS` and the documents are to change."""
    listening = {c.laddr.port: c.laddr.ip for c in psutil.Process().net_connections() if c.status == "LISTEN"}
    (own_port,) = target._client.mii_config.model_conf.replica_configs[0].tensor_parallel_ports
    assert {listening[target._client.port], listening[own_port]} <= {"::", "0.0.0.0"}


def test_many_at_a_time_do_not_mix(target):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        counts = [len(times) for times in pool.map(lambda n: target.send(Request("a", 1, n)).times, range(1, 17))]
    assert counts == list(range(1, 17))


def test_a_request_that_hangs_is_a_failed_request(target):
    with pytest.raises(RequestError, match="timeout"):
        target.send(Request("hang", 1, 2))


def test_a_process_that_ended_is_reported(target):
    target._processes = [psutil.Process()]
    target.check()
    gone = psutil.Popen(["true"])
    gone.wait()
    target._processes = [gone]
    with pytest.raises(BenchError, match="a process of the deployment ended"):
        target.check()
    target._processes = []


def test_what_mii_is_given_arrives_at_its_servers():
    """They get it as JSON: every port a free one of its own, the GPU, and the size of the KV pool."""
    import mii

    made = deployment(free_port(), gpu=1, blocks=100)
    settings = {key: made[key] for key in ("replica_configs", "inference_engine_config")}
    sent = mii.config.ModelConfig(model_name_or_path="none", **settings).model_dump_json()
    arrived = mii.config.ModelConfig(**json.loads(sent))
    (replica,) = arrived.replica_configs
    ports = {made["port_number"], *replica.tensor_parallel_ports, replica.torch_dist_port, replica.zmq_port}
    assert len(ports) == 4
    assert not ports & {29500, 25555, 50050, 50051, 51080}
    assert replica.gpu_indices == [1]
    memory = arrived.inference_engine_config.state_manager.memory_config
    assert (memory.mode, memory.size) == ("allocate", 100)
