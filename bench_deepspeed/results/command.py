"""`bench.sh results`: the list, one run as its command showed it, and what is deleted.

Needs the standard library only where there are no runs.
"""

from __future__ import annotations

import dataclasses
import os

from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import UsageError
from bench_deepspeed.core.json_files import json_text
from bench_deepspeed.core.streams import write_exactly
from bench_deepspeed.measure.records import EACH

from . import listing
from .entries import Entry, read_entry
from .find import SavedRun, folders
from .prune import prune


def run(options) -> int:
    """List, show or delete. Returns the exit code; raises UsageError for an ID that names no run, or several."""
    runs = folders(options.output_dir)
    if options.action == "show":
        print(listing.shown(_named(runs, options)))
        return 0
    if not runs:
        print("[]" if options.json else f"no runs in {options.output_dir}")
        return 0
    entries = [entry for entry in map(read_entry, runs) if _wanted(entry, options)]
    if options.action == "prune":
        return prune(options, entries)
    if options.json:
        write_exactly(json_text(list(map(_plain, entries))))
    elif entries:
        print(listing.text(entries))
    else:
        print(f"none of {len(runs)} runs in {paths.shown(options.output_dir)} is what the flags ask for")
    return 0


def _wanted(entry: Entry, options) -> bool:
    """Whether an entry is among what the flags name."""
    return (
        (options.model is None or options.model in entry.models)
        and (options.engine is None or options.engine in entry.engines)
        and options.kind in (None, entry.kind)
        and options.status in (None, entry.status)
        and (options.commit is None or any(c.startswith(options.commit) for c in (entry.commit or "").split(EACH)))
        and (options.since is None or entry.started >= options.since)
    )


def _named(runs: list[SavedRun], options) -> SavedRun:
    """The run of an ID, of the end of one such as its time, or of a path to its folder or file."""
    name, path = options.id.rstrip("/"), os.path.realpath(options.id)
    exact = [run for run in runs if name == run.id or path in map(os.path.realpath, (run.folder, *run.files.values()))]
    matches = exact or [run for run in runs if run.id.endswith(f"/{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name!r} names {len(matches)} runs: {', '.join(run.id for run in matches)}")
    raise UsageError(f"no run {name!r} in {paths.shown(options.output_dir)}: `bench.sh results` lists them")


def _plain(entry: Entry) -> dict:
    return {**dataclasses.asdict(entry), "folder": str(entry.folder), "started": entry.started.isoformat()}
