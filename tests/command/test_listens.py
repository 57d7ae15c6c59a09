"""What an engine or a target opens to other machines is said on stderr when it is started, once a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from support import no_progress

from bench_deepspeed.benchmarks.load.measure import LoadTest
from bench_deepspeed.benchmarks.load.workload import workload_of
from bench_deepspeed.cli import parser
from bench_deepspeed.core import progress_bars
from bench_deepspeed.core.ports import MII_LISTENS, RANKS_LISTEN, SERVE_LISTENS
from bench_deepspeed.engines.base import Load
from bench_deepspeed.measure.records import Scenario
from bench_deepspeed.worker.client import WorkerProcess


@pytest.fixture(autouse=True)
def _nothing_was_said_before():
    progress_bars.note_once.cache_clear()


def test_the_engine_says_it_once_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(WorkerProcess, "send", lambda *_: None)
    worker = WorkerProcess(tmp_path / "worker.log", no_progress)
    for engine in ("transformers", "mii", "deepspeed", "mii", "fake"):
        worker.send_load(engine, Load(None, "cuda", "float16", tmp_path, [], 1))
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{MII_LISTENS}\n")


def test_several_ranks_say_that_their_store_listens(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(WorkerProcess, "send", lambda *_: None)
    worker = WorkerProcess(tmp_path / "worker.log", no_progress)
    for engine in ("deepspeed", "transformers", "fake"):
        worker.send_load(engine, Load(None, "cpu", "float32", tmp_path, [], 1, tensor_parallel=2))
    assert capsys.readouterr().err == f"{RANKS_LISTEN}\n"


@pytest.mark.parametrize(
    ("target", "engine", "said"),
    [
        ("serve", "mii", f"{SERVE_LISTENS}\n"),
        ("async", "mii", f"{MII_LISTENS}\n"),
        ("sequential", "mii", f"{MII_LISTENS}\n"),
        ("sequential", "deepspeed", ""),
        ("stub", "fake", ""),
    ],
)
def test_the_target_says_it_when_it_is_opened(tmp_path, capsys, target, engine, said):
    options = parser.parse(["load", "--target", target])
    scenario = Scenario("smollm2", engine, "cuda", "float16", "pretrained", "", 1, 1, 1, None, 0)
    recorder = SimpleNamespace(result=SimpleNamespace(target={}))
    test = LoadTest(
        recorder, scenario, options, workload_of(scenario, options), progress_bars.Bars(), line=lambda *_: ""
    )
    test._open(SimpleNamespace(call=lambda *_: {}, log_folder=tmp_path), None)
    assert capsys.readouterr().err == said


def test_every_note_is_one_line_that_names_what_is_open():
    for text in (MII_LISTENS, SERVE_LISTENS, RANKS_LISTEN):
        assert "\n" not in text
        assert "all network interfaces" in text and "firewall" in text
    assert "ZMQ" in MII_LISTENS and "ZMQ" in SERVE_LISTENS and "rendezvous store" in RANKS_LISTEN
    assert "gRPC" in SERVE_LISTENS and "unencrypted" in SERVE_LISTENS
