"""`bench.sh load` as users run it: the stub, a real engine, what cannot be, and what is left when it is ended."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--clients", "0"), "0 is not between 1 and"),
        (("--rates", "0"), "'0' is not a list of numbers above 0"),
        (("--clients", "1,x"), "'x' is neither a whole number nor a range"),
        (("--rates", "2,1"), "--rates must rise"),
        (("--spread", "300%"), "not a percentage"),
        (("--target", "async", "--engine", "transformers"), "--target async is made of mii"),
        (("--target", "serve", "-d", "cpu"), "leave out -d cpu, or use --target sequential"),
        (("--target", "sequential", "-d", "cpu", "--engine", "fake"), "--engine fake does not stream"),
        (("--trace", "t.jsonl", "--clients", "1"), "leave out --clients"),
        (("--trace", "t.jsonl", "--p99"), "leave out --p99"),
        (("--prompts", "p.txt", "--prompt_tokens", "3"), "leave out --prompt_tokens"),
        (("--target", "stub", "--prompts", "missing.txt"), "--prompts: cannot read missing.txt"),
        (("--target", "stub", "--trace", "missing.jsonl"), "--trace: cannot read missing.jsonl"),
        (("--timeout", "0"), "not a number of seconds"),
        (("--timeout", "1e300"), "not a number of seconds from 0.001 to 1,000,000"),
        (("--seconds", "1e-9"), "not a number of seconds"),
        (("--seconds", "nan"), "not a number of seconds"),
        (("--port", "80"), "not a port"),
    ],
)
def test_impossible_values_are_refused(bench, flags, problem):
    assert problem in bench.refusal(2, "load", *flags)
