"""What holds however a command ends: no traceback, a documented exit code, one line of error, and harmless text."""

from __future__ import annotations

import re
import signal

from bench_deepspeed.core.errors import EXIT_CODES

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
CODES = {*EXIT_CODES, *(128 + number for number in SIGNALS)}
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def faults(code: int | None, output: str, errors: str, exact: bool = False) -> list[str]:
    """What is wrong with how a command ended; nothing where all is right.

    `exact`: a program reads standard output, which is no terminal: characters are what they are.
    """
    found = []
    if code not in CODES:
        found.append(f"exit code {code}")
    if "Traceback" in errors:
        found.append(f"traceback: {errors.strip().splitlines()[-1][:200]}")
    if errors.count("bench.sh: error: ") > 1:
        found.append("more than one error")
    if code in range(1, 9) and "bench.sh: error: " not in errors:
        found.append(f"no error line for exit code {code}")
    for name, text in (("stdout", "" if exact else output), ("stderr", errors)):
        if match := CONTROL.search(text):
            found.append(f"a control character on {name}: {match[0]!a}")
    return found
