"""One campaign: `python -m soak.campaign NAME COUNT SEED` prints its tally as one line of JSON.

Run by `soak.__main__`, in a copy of the checkout.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import entry, hubs, inprocess, kills, limits
from .tally import Tally

CAMPAIGNS: dict[str, Callable[[Path, int, int], Tally]] = {
    "argument lists": inprocess.argument_lists,
    "changed files": inprocess.changed_files,
    "kills": kills.kills,
    "limits": limits.limits,
    "hubs": hubs.hubs,
}


def main() -> None:
    """Run it in an empty folder; what runs commands in this process, with what it is not to do replaced."""
    name, count, seed = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell, and inherited
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    place = entry.prepared() if CAMPAIGNS[name].__module__ == inprocess.__name__ else tempfile.TemporaryDirectory()
    with place as folder:
        tally = CAMPAIGNS[name](Path(folder), int(count), int(seed))
    print(json.dumps(vars(tally)))


if __name__ == "__main__":
    main()
