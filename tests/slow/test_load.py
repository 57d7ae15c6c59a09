"""`bench.sh load` as users run it: the stub, a real engine, what cannot be, and what is left when it is ended."""

from __future__ import annotations

from support import error_of, unwrapped
from support import saved_load as saved


def test_a_real_engine_serves_one_after_the_other(bench, tmp_path, smollm2_models_dir):
    flags = ("-d", "cpu", "-n", "smollm2", "--engine", "transformers", "--prompt_tokens", "8", "-m", "2")
    more = ("--clients", "2", "--seconds", "1", "--models_dir", smollm2_models_dir, "--output_dir", "out")
    done = bench("load", *flags, *more)
    # On a busy machine a request may take longer than the window.
    assert done.returncode == 0 or "no level was measured" in error_of(done.stderr.split("\r")[-1]), done
    assert "sequential service: one request at a time" in unwrapped(done.stdout)
    (level,) = saved(tmp_path).levels
    spans = sorted((record.first_s, record.last_s) for record in level.records)
    assert all(later[0] >= earlier[1] for earlier, later in zip(spans, spans[1:], strict=False))
    assert {record.new_tokens for record in level.records} == {2}
    assert saved(tmp_path).environment.torch_threads >= 1
    bench.require_none_left()
