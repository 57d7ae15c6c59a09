"""`bench.sh load --target openai` as users run it, against a server of known behaviour in the test's process."""

from __future__ import annotations

import pytest
from openai_stub import StubServer
from support import InProcess, error_of, unwrapped, wait_until
from support import saved_load as saved

from bench_deepspeed.core.ports import free_port

KEY = "sk-0123456789-secret"
LOAD = ("load", "--target", "openai", "--seconds", "0.5", "-m", "3", "--prompt_tokens", "4", "--output_dir", "out")


@pytest.fixture
def stub():
    """Builds a server of some behaviour, which listens until the test ends. Returns it and its URL."""
    listening = []

    def make(**behaviour) -> tuple[StubServer, str]:
        server = StubServer(**{"first_s": 0.004, "gap_s": 0.002, **behaviour})
        listening.append(server)
        return server, f"http://127.0.0.1:{server.start()}"

    yield make
    for server in listening:
        server.stop()


def test_what_was_measured_of_which_server_stands_in_the_result(bench, stub, tmp_path):
    _, url = stub(key=KEY, chunk=2)
    flags = ("--url", url, "--api", "chat", "--api_key_env", "STUB_KEY", "--clients", "1,2")
    done = bench(*LOAD, *flags, env={"STUB_KEY": KEY})
    assert done.returncode == 0, done
    result = saved(tmp_path)
    assert (result.status, result.model) == ("complete", {"name": "stub-words-1", "title": "Stub/Words 1"})
    assert (result.target["url"], result.target["api"]) == (f"{url}/v1", "chat")
    assert result.target["tokens_counted_by"] == "usage"
    assert [level.token_chunks for level in result.levels] == [False, False]
    shown = unwrapped(done.stdout)
    assert f"Stub/Words 1, openai, {url}/v1, 4 words + 3 tokens: " in shown
    assert "tokens counted by the server's usage.completion_tokens (" in shown
    assert "lengths are requested with ignore_eos and min_tokens; the server's machine is not known" in shown
    assert "ITL is not measured" in shown
    (path,) = tmp_path.glob("out/openai/load/*/load.json")
    texts = [done.stdout, done.stderr, *(file.read_text(errors="replace") for file in path.parent.iterdir())]
    assert not any(KEY in text for text in texts)
    _views_show_it(InProcess(tmp_path), path, url)


def _views_show_it(command, path, url) -> None:
    """Every view of the saved result says of which server it is."""
    assert f"{url}/v1" in command("results", "show", path.parent.name, "--output_dir", "out").stdout
    for name in ("csv", "jsonl", "html", "markdown"):
        done = command("report", "--format", name, path, "--output", f"shown.{name}")
        assert done.returncode == 0, done
    assert "stub-words-1" in (command.cwd / "shown.csv").read_text()
    page = (command.cwd / "shown.html").read_text()
    assert "the server&#39;s usage.completion_tokens" in page
    assert "The load generator&#39;s machine, not the server" in page
    verified = command("report", "--verify", path)
    assert "verified: " in unwrapped(verified.stdout), verified


def test_failures_are_counted_by_kind_and_a_server_that_is_gone_leaves_what_was_measured(bench, stub, tmp_path):
    server, url = stub()
    process = bench.start(*LOAD, "--seconds", "3", "--url", url, "--clients", "1,2,3,4")
    wait_until(lambda: list(tmp_path.glob("out/*/load/*/load.json")) and saved(tmp_path).levels)
    server.behaviour["fault"] = "429"
    wait_until(lambda: len(saved(tmp_path).levels) > 1)
    server.behaviour["fault"] = "close"
    server.stop()
    done = bench.finish(process)
    assert done.returncode == 1, done
    assert f"{url}/v1 takes no connection any more: " in error_of(done.stderr)
    result = saved(tmp_path)
    assert result.status == "failed"
    assert {record.error for record in result.levels[0].records} == {None}
    # Its first requests may have come before the fault.
    assert {record.error for record in result.levels[1].records} - {None} == {"HTTP 429: slow down (/v1/completions)"}
    bench.require_none_left()


def test_no_server_is_one_line_and_leaves_a_file_that_says_so(bench, tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    done = bench(*LOAD, "--url", url, "--clients", "1")
    assert done.returncode == 3, done
    expected = f"{url}/v1: no connection: Connection refused; check that the server is up, and --url"
    assert error_of(done.stderr) == expected
    assert saved(tmp_path).status == "failed"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "--target openai needs --url: where the server listens, such as http://localhost:8000"),
        (("--url", "localhost:8000"), "'localhost:8000' is not a URL such as http://localhost:8000"),
        (("--url", "http://h:99999"), "is not a URL such as"),
        (("--url", "http://h/a b"), "is not a URL such as"),
        (("--url", f"http://me:{KEY}@h"), "without credentials"),
        (("--url", f"http://h/v1?api-key={KEY}"), "without credentials"),
        (
            ("--url", "http://h", "--api_key_env", "UNSET_KEY"),
            "UNSET_KEY: this environment variable is not set to a key",
        ),
        (("--url", "http://h", "--tokenizer", "none"), "--tokenizer none is not a folder with a tokenizer"),
        (("--url", "http://h", "--engine", "mii"), "leave --engine out"),
        (("--url", "http://h", "-d", "cpu"), "leave -d out"),
        (("--url", "http://h", "-n", "llama"), "leave -n out"),
        (("--url", "http://h", "--weights", "random"), "leave --weights out"),
        (("--url", "http://h", "--port", "2000"), "leave --port out"),
    ],
)
def test_what_cannot_be_together_is_refused(tmp_path, flags, words):
    error = InProcess(tmp_path).refusal(2, *LOAD, *flags)
    assert words in error
    assert KEY not in error
    assert not (tmp_path / "out").exists()


def test_flags_of_a_server_are_refused_for_other_targets(tmp_path):
    error = InProcess(tmp_path).refusal(2, "load", "--target", "stub", "--url", "http://h")
    assert error == "--url is of --target openai: leave it out, or give --target openai"


def test_the_plan_names_the_server(tmp_path):
    done = InProcess(tmp_path)(*LOAD, "--url", "http://h:1/", "--dry_run")
    assert done.returncode == 0, done
    assert "http://h:1/v1, completions, the first model it lists" in unwrapped(done.stdout)
    assert "requests of 4 words + 3 tokens" in done.stdout
