"""What must not stand in a log, a result or a page: known by its name or by its value."""

from __future__ import annotations

import re

HIDDEN = "(not shown)"
NAMES = re.compile(
    "TOKEN(?!IZ)|KEY|SECRET|PASS|PWD|CREDENTIAL|AUTH|COOKIE|SESSION|SIGNATURE|PRIVATE|BEARER|WEBHOOK|DSN"
    "|(^|_)PAT(_|$)|(^|_)PIN(_|$)",
    re.IGNORECASE,
)
"""Names of variables whose values are secret; tokenizers are not."""
IN_ADDRESS = re.compile(r"(?<=://)[^/\s]+(?=@)")
"""User and password in an address."""
VALUES = re.compile(
    r"\b(hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|AKIA|ASIA|ya29\.|eyJ)[A-Za-z0-9_.-]{8,}"
    "|-----BEGIN [A-Z ]+-----"
)
"""Secrets that begin as those of well-known services do."""


def redacted(name: str, value: str) -> str:
    """The value of a variable as it may be shown."""
    if NAMES.search(name) or VALUES.search(value):
        return HIDDEN
    return IN_ADDRESS.sub("…", value)


def without_secrets(text: str) -> str:
    """Any text, with what looks like a secret by its value, and users and passwords of addresses, hidden."""
    return IN_ADDRESS.sub("…", VALUES.sub(HIDDEN, text))
