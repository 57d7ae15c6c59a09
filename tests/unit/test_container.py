"""The Dockerfile, the hooks and the pages for those who change the suite: what they name is there."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml
from support import ROOT

DOCKERFILE = (ROOT / "docs" / "Dockerfile").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of that name."""
    whole = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M))
    return re.findall(rf"^{name} (.*)$", whole, re.M)


def test_the_image_has_the_compiler_of_the_cuda_version_that_torch_was_measured_with():
    (image,) = instructions("FROM")
    versions = {
        json.loads(path.read_text())["environment"]["torch_cuda"] for path in (ROOT / "docs" / "results").glob("*.json")
    }
    assert [version for version in versions if f":{version}." not in image or "-devel-" not in image] == []


def test_what_the_image_copies_and_starts_is_in_the_checkout():
    for arguments in instructions("COPY"):
        *sources, _ = shlex.split(arguments)
        assert [source for source in sources if not (ROOT / source).exists()] == []
    (start,) = instructions("ENTRYPOINT")
    (script,) = json.loads(start)
    assert (ROOT / script.removeprefix("/opt/bench_deepspeed/")).is_file()
    assert instructions("USER") not in ([], ["root"], ["0"])


def test_the_hooks_run_what_the_tests_run():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    script = (ROOT / "tests" / "run.sh").read_text()
    for hook in hooks:
        program, part = shlex.split(hook["entry"])
        assert (ROOT / program).is_file()
        assert re.search(rf"^  (\w+ \| )*{part}( \| \w+)*\)$", script, re.M), part


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(?:\w+))?`", SECURITY))))
def test_each_test_that_the_security_page_names_is_there(name):
    text = (ROOT / name).read_text()
    wanted = re.findall(rf"`{re.escape(name)}::(\w+)`", SECURITY)
    assert [test for test in wanted if f"def {test}(" not in text] == []


def test_each_promise_names_a_test():
    rows = re.findall(r"^\| (.*) \| (.*) \|$", SECURITY.split("## What is promised")[1].split("\n## ")[0], re.M)[2:]
    assert len(rows) > 10
    assert [promise for promise, test in rows if not re.search(r"`tests/[\w/]+\.py", test)] == []
