"""The environment variables of the suite's own process, which the processes that it starts take over.

What a user has set for other programs must not change what is measured, what is recorded, or whether a run ends.
"""

from __future__ import annotations

import os
import pwd
import re
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

FOREIGN = re.compile("(TQDM|GIT)_.*")
"""Variables of tqdm, which change how it draws or make it fail, and of git, which name another repository."""


def clean(variables: MutableMapping[str, str] = os.environ) -> None:
    """Remove what is foreign, and fill in what a container with a numeric user lacks: libraries ask for both."""
    for name in filter(FOREIGN.fullmatch, [*variables]):
        del variables[name]
    variables["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # else it reads the list of every package, in each process
    user = _user()
    if not Path(variables.get("HOME", "")).is_absolute():
        variables["HOME"] = user.pw_dir if user else tempfile.gettempdir()
    if user is None and not any(variables.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        variables["LOGNAME"] = f"uid-{os.getuid()}"  # what `getpass.getuser` needs, for torch's caches


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None
