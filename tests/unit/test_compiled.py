"""Transformers with a static KV cache and compiled decode steps, on tiny random models that compile in seconds."""

from __future__ import annotations

from bench_deepspeed.engines import engine_class
from bench_deepspeed.model import catalog


def test_a_window_shortens_no_static_cache():
    spec = catalog.load("mistral")
    assert spec.shape["sliding_window"] < 8000
    compiled, plain = (engine_class(name).kv_bytes for name in ("transformers_compiled", "transformers"))
    assert compiled(spec, "float16", 2, 8000) == 8000 * compiled(spec, "float16", 2, 1)
    assert plain(spec, "float16", 2, 8000) == plain(spec, "float16", 2, spec.shape["sliding_window"])
