"""Fetching from the hub, over real HTTP: a server on loopback, and the code under test in the user's environment."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from hub_server import (
    BAD_TOKEN,
    BROKEN,
    FORBIDDEN,
    GATED,
    GATED_ANONYMOUS,
    NOT_FOUND,
    HubServer,
    Refusal,
    Writer,
    endless,
    endless_interim_answers,
    slow_headers,
    trickle,
)
from huggingface_hub import constants
from support import save_tokenizer

from bench_deepspeed import weights
from bench_deepspeed.cli.doctor import network
from bench_deepspeed.core import errors
from bench_deepspeed.core.paths import ROOT
from bench_deepspeed.engines import checkpoint
from bench_deepspeed.model import catalog
from bench_deepspeed.weights import store, transfer
from bench_deepspeed.worker import tasks
from bench_deepspeed.worker.client import WorkerProcess

REPO = "somebody/tiny-llama"
REVISION = "0123456789abcdef0123456789abcdef01234567"
LICENCE_URL = "https://example.org/the-licence"
TOKEN = "hf_thisTextMustNeverBeShown"
SHARD = "model-00002-of-00003.safetensors"
CHUNK = 1 << 20  # what is written at once: a multiple of it is what a fetch that was cut off at it has kept
INV_FREQ = "model.layers.0.self_attn.rotary_emb.inv_freq"
NOT_WANTED = {"README.md", "pytorch_model.bin", "model_old/model.safetensors"}
TRANSFORMERS = {"weights": "pretrained", "form": "transformers", "precision": "float16", "seed": 0}
MII = {**TRANSFORMERS, "form": "mii"}


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real Llama of 7 MB in three shards and what lies around it in a repository; not to be written to."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("repository")
    torch.manual_seed(0)
    # Three query heads a KV head and a tied output head: what a conversion for MII has to change.
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=384,
        intermediate_size=1152,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).half().save_pretrained(folder, max_shard_size="3MB")
    _add_inv_freq(folder)
    save_tokenizer(folder)
    # Two files of one content, which are one object to the hub.
    shutil.copyfile(folder / "tokenizer_config.json", folder / "special_tokens_map.json")
    for name in NOT_WANTED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"nothing that a benchmark reads")
    return folder


def _add_inv_freq(folder: Path) -> None:
    """The constants of the rotary embedding, as old Llama-2 checkpoints carry them."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / SHARD)
    tensors[INV_FREQ] = 1.0 / 10000 ** (torch.arange(0, 64, 2) / 64)
    save_file(tensors, folder / SHARD, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"][INV_FREQ] = SHARD
    index.write_text(json.dumps(content))


@pytest.fixture
def hub(repository: Path) -> Iterator[HubServer]:
    with HubServer(repository, REPO, REVISION) as server:
        yield server


@contextlib.contextmanager
def as_started_in(environment: dict[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """This process in another environment, with what huggingface_hub reads from that when it is imported."""
    spec = importlib.util.find_spec(constants.__name__)
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        read = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(read)
        for name in filter(str.isupper, vars(read)):
            patch.setattr(constants, name, getattr(read, name))
        yield patch


@dataclass
class Client:
    """The code under test with a models folder and a home of its own."""

    folder: Path
    endpoint: str
    repository: Path
    env: dict[str, str] = field(default_factory=dict)
    stall_s: float | None = None
    verify: bool = False  # whether the fetched tensors are compared with the model's
    reports: list[tuple] = field(default_factory=list)

    @property
    def models_dir(self) -> Path:
        return self.folder / "models"

    @property
    def published(self) -> Path:
        return self.models_dir / "tiny" / "pretrained"

    @property
    def partial(self) -> Path:
        return store.partial_of(self.published)

    @property
    def model(self) -> dict:
        """What a manifest says of it."""
        source = {"kind": "hub", "repo": REPO, "revision": REVISION, "licence_url": LICENCE_URL}
        return {"name": "tiny", "source": source, "shape": json.loads((self.repository / "config.json").read_text())}

    def environment(self) -> dict[str, str]:
        """Nothing of the machine's own login, cache or proxy."""
        left_out = ("HF_", "HUGGING", "SSL_CERT_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out) and "proxy" not in k.lower()}
        ours = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)}
        ours["SSL_CERT_DIR"] = str(self.folder)  # else each request reads all authorities, and none uses TLS
        return {**kept, **ours, **self.env}

    def start(self) -> subprocess.Popen:
        """Start preparing in a process of its own, whose reports are lines."""
        request = {**self.model, "models_dir": str(self.models_dir), "want": TRANSFORMERS}
        return subprocess.Popen(
            [sys.executable, ROOT / "tests" / "hub_child.py", json.dumps(request)],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    def succeed(self, want: dict = TRANSFORMERS, free_bytes: int | None = None) -> Path:
        """Prepare to the end, in this process, and return the folder; the disk may seem to have so much free.

        The token is not printed.
        """
        spec = catalog.ModelSpec(title="Tiny", licence="none", **self.model)
        printed = io.StringIO()
        with (
            as_started_in(self.environment()) as patch,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            if free_bytes is not None:
                patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))
            if self.stall_s is not None:
                patch.setattr(transfer, "STALL_S", self.stall_s)
            if not self.verify:
                patch.setattr(checkpoint, "verify", lambda _: None)
            try:
                return weights.prepare(self.models_dir, spec, weights.Want(**want), self._report).folder
            finally:
                assert TOKEN not in f"{printed.getvalue()} {self.reports}"

    def _report(self, *report) -> None:
        self.reports.append(report)

    def fail(self, kind: type[errors.BenchError] = errors.WeightsError, **options) -> str:
        """Prepare in vain, and return the message: one line without the token, and nothing published."""
        with pytest.raises(kind) as refused:
            self.succeed(**options)
        assert type(refused.value) is kind
        message = str(refused.value)
        assert TOKEN not in message
        assert "\n" not in message
        assert not self.published.exists()
        return message


@pytest.fixture
def client(tmp_path: Path, hub: HubServer) -> Client:
    return Client(tmp_path, hub.endpoint, hub.folder)


def wanted(repository: Path) -> set[str]:
    """The names of the repository's files that a fetch takes."""
    names = {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()}
    return names - NOT_WANTED


def assert_equal_to(repository: Path, folder: Path) -> None:
    """The folder holds the repository's wanted files, byte for byte, and a stamp."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == wanted(repository) | {store.STAMP}
    for name in wanted(repository):
        assert (folder / name).read_bytes() == (repository / name).read_bytes(), name


# The server


def test_the_server_is_one_that_huggingface_hub_itself_fetches_from(client: Client, hub: HubServer) -> None:
    code = f"from huggingface_hub import hf_hub_download as f; print(f({REPO!r}, {SHARD!r}, revision={REVISION!r}))"
    done = subprocess.run([sys.executable, "-c", code], env=client.environment(), check=True, capture_output=True)

    assert Path(done.stdout.decode().strip()).read_bytes() == (hub.folder / SHARD).read_bytes()


# A fetch


@dataclass(frozen=True)
class Fetched:
    """One fetch that went well: who made it, the hub as it was afterwards, and what was reported meanwhile."""

    client: Client
    asked: set[str]
    sent: dict[str, int]
    kinds: set[str]
    reports: list[tuple]


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[tuple[Fetched, HubServer]]:
    """The tensors were compared with the model's; the hub goes on for the conversion."""
    with HubServer(repository, REPO, REVISION) as hub:
        client = Client(tmp_path_factory.mktemp("fetched"), hub.endpoint, repository, verify=True)
        client.succeed()
        kinds = {request.kind for request in hub.requests}
        sent = {name: hub.sent(name) for name in hub.asked()}
        yield Fetched(client, hub.asked(), sent, kinds, client.reports.copy()), hub


@pytest.fixture
def fetch(fetched: tuple[Fetched, HubServer]) -> Fetched:
    return fetched[0]


def test_a_fetch_brings_the_files_byte_for_byte(fetch: Fetched, repository: Path) -> None:
    assert_equal_to(repository, fetch.client.published)
    assert not fetch.client.partial.exists()


def test_only_wanted_files_are_requested_and_each_once(fetch: Fetched, repository: Path) -> None:
    assert fetch.asked == wanted(repository)
    assert fetch.sent == {name: (repository / name).stat().st_size for name in fetch.asked}


def test_nothing_but_the_listing_and_the_files_is_requested(fetch: Fetched) -> None:
    assert fetch.kinds == {"listing", "resolve", "cdn"}


def test_the_stamp_names_source_and_digests(fetch: Fetched, repository: Path) -> None:
    stamp = store.stamp_of(fetch.client.published)
    assert stamp["facts"] == {"weights": "pretrained", "source": {"repo": REPO, "revision": REVISION}}
    assert stamp["files"].keys() == wanted(repository)
    assert stamp["files"][SHARD][2] == store.sha256_of(repository / SHARD)


def test_transformers_reads_what_was_fetched(fetch: Fetched) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = fetch.client.published
    tokens = AutoTokenizer.from_pretrained(folder)("deep speed", return_tensors="pt").input_ids
    answer = AutoModelForCausalLM.from_pretrained(folder).generate(tokens, max_new_tokens=3, min_new_tokens=3)
    assert answer.shape == (1, tokens.shape[1] + 3)


def test_progress_counts_every_byte(fetch: Fetched, repository: Path) -> None:
    counted = [(done, total) for label, done, total in fetch.reports if label.startswith("fetching")]
    size = sum((repository / name).stat().st_size for name in wanted(repository))
    assert counted == sorted(counted)
    assert counted[-1] == (size, size)


def test_a_second_prepare_asks_the_hub_nothing(client: Client, hub: HubServer) -> None:
    client.succeed()
    hub.requests.clear()

    client.succeed()

    assert hub.requests == []


def test_files_in_the_cache_of_other_programs_are_used(client: Client, hub: HubServer) -> None:
    snapshot = client.folder / "home" / "hub" / f"models--{REPO.replace('/', '--')}" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    shutil.copyfile(hub.folder / SHARD, snapshot / SHARD)

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert SHARD not in hub.asked()


def test_a_damaged_file_in_that_cache_is_not_used(client: Client, hub: HubServer) -> None:
    snapshot = client.folder / "home" / "hub" / f"models--{REPO.replace('/', '--')}" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / SHARD).write_bytes(b"cut")

    client.succeed()

    assert_equal_to(hub.folder, client.published)


def test_a_models_folder_below_a_cache_folder_is_stamped_all_the_same(client: Client, hub: HubServer) -> None:
    client.folder /= ".cache"

    client.succeed()

    assert store.stamp_of(client.published)["files"].keys() == wanted(hub.folder)


# Interruptions


def test_a_fetch_cut_off_publishes_nothing_and_goes_on_where_it_stopped(client: Client, hub: HubServer) -> None:
    hub.cut[SHARD] = CHUNK
    assert "cannot be reached" in client.fail()
    hub.cut.clear()
    hub.requests.clear()

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert set(hub.ranges(SHARD)) == {f"bytes={CHUNK}-"}
    assert hub.sent(SHARD) == (hub.folder / SHARD).stat().st_size - CHUNK


def test_what_had_arrived_before_a_cut_is_not_fetched_twice(client: Client, hub: HubServer) -> None:
    hub.cut[SHARD] = CHUNK
    client.fail()
    hub.cut.clear()

    client.succeed()

    assert all(hub.sent(name) == (hub.folder / name).stat().st_size for name in wanted(hub.folder))


def test_a_connection_that_breaks_once_is_taken_up_again_in_the_same_run(client: Client, hub: HubServer) -> None:
    hub.cut_once[SHARD] = CHUNK

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert hub.sent(SHARD) == (hub.folder / SHARD).stat().st_size


def test_a_server_that_ignores_ranges_is_fetched_from_anew(client: Client, hub: HubServer) -> None:
    hub.cut_once[SHARD] = CHUNK
    hub.ignores_ranges = True

    client.succeed()

    assert_equal_to(hub.folder, client.published)


def test_a_killed_fetch_goes_on_where_it_stopped(client: Client, hub: HubServer) -> None:
    hub.hold[SHARD] = CHUNK
    before = sum((hub.folder / name).stat().st_size for name in wanted(hub.folder) if name < SHARD)
    process = client.start()
    for line in process.stdout:
        label, done, _ = json.loads(line)
        if label.startswith("fetching") and done == before + CHUNK:
            break
    process.kill()
    process.communicate()
    assert not client.published.exists()
    hub.hold.clear()
    hub.requests.clear()

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert not client.partial.exists()
    assert hub.sent(SHARD) == (hub.folder / SHARD).stat().st_size - CHUNK


def test_altered_bytes_are_refused_and_deleted(client: Client, hub: HubServer) -> None:
    hub.altered.add(SHARD)

    assert f"{SHARD} did not arrive as the hub holds it (its digest differs)" in client.fail()

    altered = (hub.folder / SHARD).stat().st_size
    assert altered not in {path.stat().st_size for path in client.partial.rglob("*")}


def test_after_altered_bytes_only_that_file_is_fetched_again(client: Client, hub: HubServer) -> None:
    hub.altered.add(SHARD)
    client.fail()
    hub.altered.clear()
    hub.requests.clear()

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert hub.asked() == {SHARD}


def test_an_altered_small_file_is_refused_too(client: Client, hub: HubServer) -> None:
    hub.altered.add("config.json")

    assert "config.json did not arrive as the hub holds it" in client.fail()


# Refusals


@pytest.mark.parametrize("refusal", [GATED, GATED_ANONYMOUS], ids=["not accepted", "not logged in"])
def test_a_gated_repository_names_the_licence_page(client: Client, hub: HubServer, refusal: Refusal) -> None:
    client.env["HF_TOKEN"] = TOKEN
    hub.file_refusal = refusal

    message = client.fail()

    assert LICENCE_URL in message
    assert "--weights random" in message


def test_a_wrong_token_names_hf_token(client: Client, hub: HubServer) -> None:
    hub.token = "hf_another"
    client.env["HF_TOKEN"] = TOKEN

    assert "HF_TOKEN" in client.fail()


@pytest.mark.parametrize("refusal", [NOT_FOUND, BAD_TOKEN, FORBIDDEN], ids=["not shown", "expired", "no permission"])
def test_a_token_that_may_not_read_names_hf_token(client: Client, hub: HubServer, refusal: Refusal) -> None:
    hub.refusal = refusal
    client.env["HF_TOKEN"] = TOKEN

    assert "HF_TOKEN" in client.fail()


def test_the_right_token_opens_the_repository_and_stays_off_the_cdn(client: Client, hub: HubServer) -> None:
    hub.token = TOKEN
    client.env["HF_TOKEN"] = TOKEN

    client.succeed()

    shown = {kind: {r.authorization for r in hub.requests if r.kind == kind} for kind in ("listing", "resolve", "cdn")}
    assert shown == {"listing": {f"Bearer {TOKEN}"}, "resolve": {f"Bearer {TOKEN}"}, "cdn": {None}}


def test_the_token_is_written_nowhere(client: Client, hub: HubServer) -> None:
    hub.token = TOKEN
    client.env["HF_TOKEN"] = TOKEN

    client.succeed()

    files = [path for path in client.folder.rglob("*") if path.is_file()]
    assert files
    assert not any(TOKEN.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("where", ["refusal", "file_refusal"])
def test_an_error_of_the_hub_is_reported_by_its_status(client: Client, hub: HubServer, where: str) -> None:
    setattr(hub, where, BROKEN)

    message = client.fail()

    assert "the hub answered 500" in message
    assert "try later" in message


def test_a_closed_port_cannot_be_reached(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        client.endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert "cannot be reached" in client.fail()


def test_a_hub_that_does_not_answer_cannot_be_reached(client: Client, hub: HubServer) -> None:
    hub.silent = True
    client.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"

    assert "cannot be reached" in client.fail()


def test_a_network_that_answers_in_the_hubs_place_cannot_be_reached(client: Client, hub: HubServer) -> None:
    hub.portal = True

    assert "cannot be reached" in client.fail()


def fill_cache(client: Client, hub: HubServer, without: str | None = None) -> Path:
    """Have the hub's own client fetch the files into its cache. Returns the snapshot's folder."""
    options = {"revision": REVISION, "endpoint": hub.endpoint, "cache_dir": client.folder / "home" / "hub"}
    names = wanted(client.repository) - {without}
    paths = [Path(huggingface_hub.hf_hub_download(REPO, name, **options)) for name in names]
    hub.requests.clear()
    return paths[0].parent


def test_offline_the_hubs_cache_is_used_and_nothing_is_asked(client: Client, hub: HubServer) -> None:
    fill_cache(client, hub)
    client.env["HF_HUB_OFFLINE"] = "1"

    client.succeed()

    assert_equal_to(client.repository, client.published)
    assert hub.requests == []


def test_offline_an_altered_file_of_the_cache_is_not_used(client: Client, hub: HubServer) -> None:
    shard = fill_cache(client, hub) / SHARD
    client.env["HF_HUB_OFFLINE"] = "1"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.resolve().write_bytes(content)

    assert "cannot be reached (OfflineModeIsEnabled)" in client.fail()
    assert hub.requests == []


@pytest.mark.parametrize("lacking", [None, "config.json", SHARD], ids=["all", "configuration", "shard"])
def test_offline_without_the_whole_model_is_one_line(client: Client, hub: HubServer, lacking: str | None) -> None:
    client.env["HF_HUB_OFFLINE"] = "1"
    if lacking:
        fill_cache(client, hub, without=lacking)

    error = client.fail()

    assert "not in the listing" in error if lacking == SHARD else "HF_HUB_OFFLINE is set, and the hub's cache" in error
    assert hub.requests == []


PROXIES = {
    "all_proxy": ("socks5://user:secret@127.0.0.1:1", "all_proxy cannot be used (SOCKS needs the package socksio)"),
    "NO_PROXY": ("[::1]", "NO_PROXY cannot be used (it names no proxy by http)"),
    "HTTP_PROXY": ("ftp://user:secret@127.0.0.1", "HTTP_PROXY cannot be used (it names no proxy by http)"),
    "http_proxy": ("http://user:se:cret@host:port", "http_proxy cannot be used"),
}


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_cannot_be_used_is_named_and_its_password_is_not_shown(client: Client, name: str) -> None:
    client.env[name], words = PROXIES[name]

    error = client.fail()

    assert words in error
    assert "secret" not in error
    assert "cret@" not in error


def test_doctor_says_the_same_of_a_proxy(client: Client, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    assert network.check_hub().status == "ok"
    monkeypatch.setenv("ALL_PROXY", PROXIES["all_proxy"][0])
    check = network.check_hub()
    assert check.status == "warning"
    assert "ALL_PROXY cannot be used (SOCKS needs the package socksio)" in check.detail
    assert "secret" not in str(check)


def test_a_repository_without_safetensors_is_refused(client: Client, hub: HubServer, tmp_path: Path) -> None:
    hub.folder = tmp_path / "pickled"
    hub.folder.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        shutil.copyfile(client.repository / name, hub.folder / name)

    assert "holds no safetensors" in client.fail()
    assert hub.asked() == set()


def test_a_repository_whose_tensors_are_not_the_models_is_not_published(
    client: Client, hub: HubServer, tmp_path: Path
) -> None:
    """Refused when it has been fetched, before any engine is started; nothing is fetched twice."""
    from safetensors.torch import load_file, save_file

    client.verify = True
    hub.folder = tmp_path / "renamed"
    shutil.copytree(client.repository, hub.folder)
    tensors = load_file(hub.folder / SHARD)
    names = [name for name in tensors if name != INV_FREQ]
    renamed = {f"other.{name}": tensors[name] for name in names}
    save_file(renamed, hub.folder / SHARD, metadata={"format": "pt"})
    message = client.fail()
    assert client.fail() == message
    assert f"{len(names)} missing: {min(names)}" in message
    assert f"{len(names)} unexpected: other.{min(names)}" in message
    assert hub.sent(SHARD) == (hub.folder / SHARD).stat().st_size


def test_a_disk_that_is_too_small_is_reported_before_anything_is_fetched(client: Client, hub: HubServer) -> None:
    size = sum((hub.folder / name).stat().st_size for name in wanted(hub.folder))

    assert "free" in client.fail(errors.MachineError, free_bytes=size - 1)
    assert hub.asked() == set()


def test_a_fetch_that_goes_on_needs_only_the_rest_of_the_disk(client: Client, hub: HubServer) -> None:
    hub.cut[SHARD] = CHUNK
    client.fail()
    hub.cut.clear()
    present = sum(path.stat().st_size for path in client.partial.rglob("*") if path.is_file())
    rest = sum((hub.folder / name).stat().st_size for name in wanted(hub.folder)) - present

    assert "free" in client.fail(errors.MachineError, free_bytes=rest - 1)
    client.succeed(free_bytes=rest)


# A server that is no hub: HF_ENDPOINT names a mirror, or somebody answers in the place of a plain http address


@pytest.fixture
def impatient(client: Client) -> Client:
    """A client to which two seconds are a stall."""
    client.stall_s = 2
    client.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"
    return client


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["kept", "kept-folder/file"])
def test_a_listing_reaches_no_file_of_the_user(client: Client, hub: HubServer, target: str) -> None:
    victim = client.folder / target
    victim.parent.mkdir(exist_ok=True)
    victim.write_bytes(b"a file of the user")

    def climb(listing: dict) -> dict:
        small = next(entry for entry in listing["siblings"] if entry["rfilename"] == "config.json")
        makes_the_folder = {**small, "blobId": "/made"}
        climbs = {**small, "blobId": f"/../../../../../{target}"}
        return {**listing, "siblings": [*listing["siblings"], makes_the_folder, climbs]}

    hub.alter_listing = climb

    message = client.fail()

    assert victim.read_bytes() == b"a file of the user"
    assert "the hub's answer is refused: the listing" in message
    assert files_below(client.models_dir).keys() <= {client.models_dir / "tiny" / ".lock"}


def test_an_index_reaches_no_file_outside(client: Client, hub: HubServer, tmp_path: Path) -> None:
    hub.folder = tmp_path / "repository"
    shutil.copytree(client.repository, hub.folder)
    index = hub.folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["lm_head.weight"] = "../../kept.safetensors"
    index.write_text(json.dumps(content))

    assert "names the file '../../kept.safetensors'" in client.fail()


@pytest.mark.parametrize("what", ["listing", SHARD, "config.json", "redirect", "refusal"])
def test_a_body_without_end_is_read_to_its_limit(client: Client, hub: HubServer, what: str) -> None:
    hub.bodies[what] = endless
    if what == "refusal":
        hub.file_refusal = BROKEN

    if what == "redirect":  # its body is of no use
        assert client.succeed()
    elif what == "refusal":
        assert "the hub answered 500" in client.fail()
    else:
        assert "goes on after the" in client.fail()
    sizes = {path: (hub.folder / path.name.rpartition("-")[0]) for path in client.partial.rglob(".cache/*")}
    assert all(path.stat().st_size <= original.stat().st_size for path, original in sizes.items())


@pytest.mark.parametrize("what", ["listing", SHARD, "config.json"])
def test_a_compressed_body_is_refused_unread(client: Client, hub: HubServer, what: str) -> None:
    hub.compressed.add(what)

    message = client.fail()

    assert "comes compressed ('gzip')" in message
    assert "HF_ENDPOINT" in message


@pytest.mark.parametrize("answer", [slow_headers, endless_interim_answers])
@pytest.mark.parametrize("what", ["listing", "config.json"])
def test_headers_that_do_not_end_are_a_stall(
    impatient: Client, hub: HubServer, what: str, answer: Callable[[Writer], None]
) -> None:
    hub.answers[what] = answer

    assert "stalls: 2 s brought less than" in impatient.fail()


@pytest.mark.parametrize("what", ["listing", SHARD, "config.json"])
def test_a_body_that_trickles_is_a_stall(impatient: Client, hub: HubServer, what: str) -> None:
    hub.bodies[what] = trickle

    message = impatient.fail()

    assert "stalls: 2 s brought less than" in message
    assert "run again" in message


def test_a_fetch_goes_on_where_it_stalled(impatient: Client, hub: HubServer) -> None:
    def stall(write: Writer) -> None:
        write((hub.folder / SHARD).read_bytes()[:CHUNK])
        trickle(write)

    hub.bodies[SHARD] = stall
    impatient.fail()
    hub.bodies.clear()
    hub.requests.clear()

    impatient.succeed()

    assert_equal_to(hub.folder, impatient.published)
    assert hub.ranges(SHARD)[0] == f"bytes={CHUNK}-"


def test_a_connection_that_brings_a_byte_each_time_is_given_up(client: Client, hub: HubServer) -> None:
    hub.bodies["config.json"] = lambda write: write(b"{")
    hub.ignores_ranges = True

    assert "cannot be reached" in client.fail()

    assert len([request for request in hub.requests if request.file == "config.json"]) == 5


# Damage to what was published


def test_a_truncated_file_alone_is_fetched_again(client: Client, hub: HubServer) -> None:
    client.succeed()
    os.truncate(client.published / SHARD, 1000)
    hub.requests.clear()

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert hub.asked() == {SHARD}


def test_an_altered_file_alone_is_fetched_again(client: Client, hub: HubServer) -> None:
    client.succeed()
    with (client.published / SHARD).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f" if (hub.folder / SHARD).read_bytes()[-1:] != b"\x7f" else b"\x00")
    hub.requests.clear()

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert hub.asked() == {SHARD}


def test_a_deleted_small_file_alone_is_fetched_again(client: Client, hub: HubServer) -> None:
    client.succeed()
    (client.published / "tokenizer.json").unlink()
    hub.requests.clear()

    client.succeed()

    assert_equal_to(hub.folder, client.published)
    assert hub.asked() == {"tokenizer.json"}


def test_a_repaired_folder_is_whole_at_the_next_prepare(client: Client, hub: HubServer) -> None:
    client.succeed()
    os.truncate(client.published / SHARD, 1000)
    client.succeed()
    hub.requests.clear()

    client.succeed()

    assert hub.requests == []


# The conversion for MII


@pytest.fixture(scope="module")
def conversion(fetched: tuple[Fetched, HubServer]) -> tuple[Path, int]:
    """The converted folder, made of what had been fetched, and how many requests the hub had meanwhile."""
    fetch, hub = fetched
    before = len(hub.requests)
    return fetch.client.succeed(MII), len(hub.requests) - before


@pytest.fixture
def converted(conversion: tuple[Path, int]) -> Path:
    return conversion[0]


def test_the_converted_folder_is_next_to_the_fetched_one(fetch: Fetched, converted: Path, repository: Path) -> None:
    assert converted == fetch.client.models_dir / "tiny" / "pretrained-mii-float16"
    assert_equal_to(repository, fetch.client.published)
    assert store.damage_of(converted) is None


def test_the_converted_tensors_are_the_models_own_in_float16(converted: Path) -> None:
    import torch

    tensors = _tensors(converted)
    assert INV_FREQ not in tensors
    assert "lm_head.weight" in tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert tensors["model.layers.0.self_attn.k_proj.weight"].shape == (6 * 64, 384)


def test_the_converted_model_computes_the_same(converted: Path, fetch: Fetched) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    tokens = torch.arange(40).view(2, 20)
    logits = []
    for folder in (fetch.client.published, converted):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.inference_mode():
            logits.append(model(tokens).logits)
    assert (logits[0] - logits[1]).abs().max().item() == 0


def test_a_conversion_of_what_is_there_asks_the_hub_nothing(conversion: tuple[Path, int]) -> None:
    assert conversion[1] == 0


def _tensors(folder: Path) -> dict:
    from safetensors.torch import load_file

    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


# As a run does it: a worker process, and a model of the catalogue


@contextlib.contextmanager
def _llama_hub(repository: Path, tmp_path: Path) -> Iterator[HubServer]:
    """A hub in the place of the real one, for the model that `models/llama.json` names."""
    source = catalog.load("llama").source
    server = HubServer(repository, source["repo"], source["revision"])
    client = Client(tmp_path, server.endpoint, repository, {"HF_TOKEN": TOKEN})
    with server, as_started_in(client.environment()):
        yield server


@pytest.mark.parametrize(
    ("refusal", "remedy"), [(GATED, catalog.load("llama").source["licence_url"]), (BAD_TOKEN, "HF_TOKEN")]
)
def test_a_worker_reports_the_remedy_and_not_the_token(
    repository: Path, tmp_path: Path, refusal: Refusal, remedy: str
) -> None:
    log = tmp_path / "worker.log"
    reports = []
    with (
        _llama_hub(repository, tmp_path) as hub,
        WorkerProcess(log, lambda *report: reports.append(report)) as worker,
        pytest.raises(errors.WeightsError, match=remedy) as raised,
    ):
        hub.refusal = refusal
        worker.call(tasks.prepare_weights, tmp_path / "models", "llama", weights.Want(**MII))

    assert log.read_text() == ""
    assert TOKEN not in f"{raised.value} {reports}"
