"""`bench.sh report --format`: any files of results as flat lines and as Markdown; what is none is refused."""

from __future__ import annotations

from support import ROOT


def test_text_that_standard_output_cannot_show_is_utf_8_nevertheless(bench, files):
    shown = bench.start("report", *files, "--format", "markdown", env={"PYTHONIOENCODING": "ascii"})
    assert "B ∕ A" in bench.finish(shown).stdout
    assert shown.returncode == 0


def test_only_the_page_needs_its_libraries(bench):
    assert "--samples" in bench("report", "--help").stdout
    for arguments in (["--format", "csv"], ["--check"]):
        imported = bench("report", *arguments, env={"PYTHONPROFILEIMPORTTIME": "1"}, cwd=ROOT).stderr
        assert "bench_deepspeed.results.export" in imported
        assert not any(name in imported for name in ("altair", "vl_convert", "jinja2"))
