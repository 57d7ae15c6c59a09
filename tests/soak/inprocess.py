"""The campaigns of argument lists and of changed files, in this process."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from bench_deepspeed.core.paths import MODELS

from . import arguments, mutations
from .entry import run
from .tally import Tally

MARKUP = "<script>alert"
SHOWN = 300
"""Characters of an argument in a failure."""


def argument_lists(folder: Path, count: int, seed: int) -> Tally:
    """Run so many argument lists, drawn by hypothesis with the seed."""
    import hypothesis

    arguments.populate(folder)
    tally = Tally()

    def one(argv: list[str]) -> None:
        code, _, _, wrong = run(argv)
        tally.add([word[:SHOWN] for word in argv], code, wrong)

    settings = hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.seed(seed)(settings(hypothesis.given(arguments.lists())(one)))()
    return tally


def changed_files(folder: Path, count: int, seed: int) -> Tally:
    """Change so many files, and have each read by one of the commands that read such a file."""
    draw, tally = random.Random(seed), Tally()
    originals = mutations.originals(folder)
    (folder / "good.json").write_bytes(originals["result.json"])
    for number in range(count):
        name = draw.choice(list(originals))
        content = mutations.mutated(draw, originals[name])
        argv = draw.choice(mutations.commands(name, number))
        place = MODELS / name if name == "smollm2.json" else folder / name
        place.write_bytes(content)
        if argv[0] == "results":
            run_folder = folder / f"logs{number}" / "llama" / "2026-01-01T10-00-00"
            run_folder.mkdir(parents=True)
            shutil.copy(place, run_folder)
        code, output, _, wrong = run(argv)
        page = folder / "page"
        if (
            page.exists()
            and "<script>alert" in page.read_text(errors="replace")
            and "csv" not in argv
            and "jsonl" not in argv
        ):
            wrong = [*wrong, "markup of a file is in the page"]
        if wrong:
            (kept := Path(f"/tmp/soak-{seed}-{number}-{name}")).write_bytes(content)
            wrong = [*wrong, f"kept as {kept}"]
        tally.add(argv, code, wrong)
        page.unlink(missing_ok=True)
        if name == "smollm2.json":
            place.write_bytes(originals[name])
        shutil.rmtree(folder / f"logs{number}", ignore_errors=True)
    return tally
