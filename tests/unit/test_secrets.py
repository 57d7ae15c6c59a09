"""What is kept out of logs, results and pages, by its name and by its value."""

from __future__ import annotations

import pytest

from bench_deepspeed.core.secrets import HIDDEN, redacted

SECRET = [
    "HF_TOKEN",
    "API_KEY",
    "MY_SECRET",
    "PASSWORD",
    "DB_PASSWD",
    "PASSPHRASE",
    "PGPASS",
    "GIT_PAT",
    "PAT",
    "PWD_X",
]
SECRET += [
    "AWS_CREDENTIALS",
    "BASIC_AUTH",
    "Authorization",
    "SESSION_ID",
    "COOKIE",
    "PRIVATE_PEM",
    "BEARER",
    "SENTRY_DSN",
]
OPEN = ["TOKENIZERS_PARALLELISM", "TORCH_COMPILE", "PATH", "OMP_NUM_THREADS", "CUDA_HOME", "PATTERN", "SPIN", "COMPAT"]
VALUES = ["hf_abcdefghij", "ghp_0123456789ab", "sk-proj-0123456789", "AKIA0123456789AB", "eyJhbGciOiJIUzI1NiJ9.e30.x"]
VALUES += ["-----BEGIN RSA PRIVATE KEY-----"]


@pytest.mark.parametrize("name", SECRET)
def test_a_value_is_hidden_by_its_name(name):
    assert redacted(name, "x") == redacted(name.lower(), "x") == HIDDEN


@pytest.mark.parametrize("name", OPEN)
def test_other_names_are_open(name):
    assert redacted(name, "4") == "4"


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_hidden_by_what_it_is(value):
    assert redacted("ANY", value) == redacted("ANY", f"prefix {value}") == HIDDEN


def test_user_and_password_of_an_address_are_left_out():
    assert redacted("PROXY", "http://user:pa:ss@host:1/x?y=a@b") == "http://…@host:1/x?y=a@b"
    assert redacted("PROXY", "socks5://user@host, http://host") == "socks5://…@host, http://host"
    assert redacted("MAIL", "a@b.c") == "a@b.c"


@pytest.mark.parametrize("text", ["engine=fake env.KEY='top secret", "engine=fake topsecret"])
def test_a_configuration_that_cannot_be_read_is_not_repeated(bench, text):
    error = bench.refusal(2, "ab", "--a", text, "--b", "engine=fake")
    assert "top secret" not in error
    assert "cannot be read: No closing quotation" in error or "'topsecret' is not key=value" in error
