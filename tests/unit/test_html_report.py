"""The HTML page in a real browser: what it shows, filters, says of itself, and that it asks the network for nothing."""

from __future__ import annotations

import re

from results import result

from bench_deepspeed.results import files as evidence
from bench_deepspeed.results import page as html


def test_the_results_of_a_model_stand_together(tmp_path):
    """Whatever of another kind of weights lies between them in the order of the files."""
    for n, (engine, weights) in enumerate((("mii", "pretrained"), ("mii", "random"), ("transformers", "pretrained"))):
        result(engine=engine, weights=weights).save(tmp_path / f"{n}.json")
    text = html.render(evidence.read(sorted(tmp_path.glob("*.json"))))
    assert text.count("<h3>Llama-2-7B-chat</h3>") == 1
    assert text.count("<h3>Llama-2-7B-chat (random weights)</h3>") == 1


def test_each_card_has_an_id_of_its_own(tmp_path):
    """Names that end alike, or differ in a sign alone."""
    files = [tmp_path / place for place in ("x/run/result.json", "y/run/result.json", "a_b.json", "a-b.json")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        result().save(file)
    page = html.render(evidence.read(files))
    ids = re.findall(r'<details class="card" id="([^"]+)"', page)
    assert len(set(ids)) == 4
    assert re.findall(r'<a href="#(card[^"]+)"', page) == ids
