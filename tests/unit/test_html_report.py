"""The HTML page as text: what stands together, what its addresses are, and what it needs."""

from __future__ import annotations

import re
from importlib import util

import pytest
from builders import measured, result

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.results import files as evidence
from bench_deepspeed.results import page as html


def test_the_results_of_a_model_are_adjacent(tmp_path):
    """Whatever of another kind of weights lies between them in the order of the files."""
    for n, (engine, weights) in enumerate((("mii", "pretrained"), ("mii", "random"), ("transformers", "pretrained"))):
        result(engine=engine, weights=weights).save(tmp_path / f"{n}.json")
    text = html.render(evidence.read(sorted(tmp_path.glob("*.json"))))
    assert text.count("<h3>Speed of Llama-2-7B-chat</h3>") == 1
    assert text.count("<h3>Speed of Llama-2-7B-chat (random weights)</h3>") == 1


def test_each_card_has_an_id_of_its_own(tmp_path):
    """Names that end alike, or differ in a sign alone."""
    files = [tmp_path / place for place in ("x/run/result.json", "y/run/result.json", "a_b.json", "a-b.json")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        result().save(file)
    page = html.render(evidence.read(files))
    cards = re.findall(r'<details id="([^"]+)" class="card"', page)
    assert len(set(cards)) == 4
    links = re.findall(r'<td[^>]*><a href="#([^"]+)">([^<]+)</a>', page)
    assert sorted(place for place, _ in links) == sorted(cards)
    assert {name for _, name in links} == {"run/result.json", "a_b.json", "a-b.json"}
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("package", ["altair", "vl_convert", "jinja2"])
def test_without_what_draws_it_the_page_is_refused_in_one_line(files, monkeypatch, package):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(MachineError, match=f"the HTML page needs {package}: install requirements.txt"):
        html.render(evidence.read(files))


def test_models_of_any_size_share_no_axis_of_time(tmp_path):
    for name, model in (("small", "smollm2"), ("large", "llama")):
        measured(result(model=model)).save(tmp_path / f"{name}.json")
    page = html.render(evidence.read(sorted(tmp_path.glob("*.json"))))
    captions = re.findall(r"<figcaption>(\w+ of [^<]+)<", page)
    assert captions.count("TTFT of smollm2") == captions.count("TTFT of Llama-2-7B-chat") == 1
    assert captions.count("TPOT of smollm2") == captions.count("TPOT of Llama-2-7B-chat") == 1
