"""`bench.sh results`: the list, one run as it showed itself, and what is deleted."""

from __future__ import annotations

import dataclasses
import json
import os

from bench_deepspeed.core import paths
from bench_deepspeed.core.errors import UsageError

from . import listing as report
from .entries import Entry, entry
from .find import Found, folders
from .prune import prune


def run(options) -> int:
    """List, show or delete. Returns the exit code; raises UsageError for an ID that names no run, or several."""
    found = folders(options.output_dir)
    if options.action == "show":
        print(report.shown(_named(found, options)))
        return 0
    entries = [one for one in map(entry, found) if _wanted(one, options)]
    if options.action == "prune":
        return prune(options, entries)
    if options.json:
        print(json.dumps(list(map(_plain, entries)), indent=1, ensure_ascii=False))
    elif entries:
        print(report.listing(entries))
    else:
        print(f"none of {len(found)} runs in {paths.shown(options.output_dir)} is what the flags ask for")
    return 0


def _wanted(one: Entry, options) -> bool:
    """Whether an entry is among what the flags name."""
    return (
        (options.model is None or options.model in one.models)
        and (options.engine is None or options.engine in one.engines)
        and options.kind in (None, one.kind)
        and options.status in (None, one.status)
        and (options.commit is None or (one.commit or "").startswith(options.commit))
        and (options.since is None or one.started >= options.since)
    )


def _named(found: list[Found], options) -> Found:
    """The run of an ID, of the end of one such as its time, or of a path to its folder or file."""
    name, path = options.id.rstrip("/"), os.path.realpath(options.id)
    exact = [one for one in found if name == one.id or path in map(os.path.realpath, (one.folder, *one.files.values()))]
    named = exact or [one for one in found if one.id.endswith(f"/{name}")]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f"{name!r} names {len(named)} runs: {', '.join(one.id for one in named)}")
    raise UsageError(f"no run {name!r} in {paths.shown(options.output_dir)}: `bench.sh results` lists them")


def _plain(one: Entry) -> dict:
    return {**dataclasses.asdict(one), "folder": str(one.folder), "started": one.started.isoformat()}
