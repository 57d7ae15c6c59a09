from __future__ import annotations

from dataclasses import asdict

from bench_deepspeed.engines import engine_class
from bench_deepspeed.report.flat_files import Row

from . import columns
from .records import Quality
from .verdict import Measures, floor_of, measures, verdict_of


def _quality_rows(quality: Quality) -> list[Row]:
    own_kernels = engine_class(quality.engine).own_kernels
    found = []
    for candidate in quality.candidates:
        engine = measures(candidate["engine"])
        verdict = verdict_of(candidate, own_kernels)
        row = {
            "precision": candidate["precision"],
            "questions": engine.questions,
            "exact_answers": engine.exact_matches,
            "first_difference": engine.first_difference,
            "edit_similarity": engine.edit_similarity,
            "answer_gap": engine.answer_gap,
            **_distances(engine, ""),
            **_distances(floor_of(candidate["floor"], engine), "floor_"),
        }
        found.append({**row, "within_noise_floor": verdict["ok"], "verdict": verdict["words"]})
    return found


def _distances(found: Measures, of_what: str) -> Row:
    cells = {
        f"{of_what}{place}_{n}": v for place in ("early", "late") for n, v in asdict(getattr(found, place)).items()
    }
    return {name: value for name, value in cells.items() if name in columns.QUALITY}
