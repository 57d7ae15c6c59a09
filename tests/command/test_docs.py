"""The documents: every command works, every link leads somewhere, every list is the code's."""

from __future__ import annotations

import dataclasses
import subprocess

from support import README, ROOT, documented

from bench_deepspeed.measure.records import Environment


def test_no_machine_and_no_registry_is_named():
    # In pieces, so that this file does not name them either.
    folders = [
        "/" + "/".join(parts) for parts in (("work", "main"), ("work", "shared"), ("root", ""), ("tmp", "proto"))
    ]
    hosts = [first + last for first, last in (("py", "pi.org"), ("python", "hosted"), ("download.", "pytorch.org"))]
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [ROOT / name for name in names if (ROOT / name).is_file()]
    assert README in files
    found = [(file, text) for file in files for text in (*folders, *hosts) if text in file.read_text(errors="replace")]
    assert found == []


def test_every_fact_of_the_environment_is_documented():
    assert {field.name for field in dataclasses.fields(Environment)} == set(documented("Environment"))
