"""Where things lie, relative to the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
LOGS = ROOT / "logs"
QUESTIONS = ROOT / "bench_deepspeed" / "quality" / "questions.json"
DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
VENV = ROOT / ".venv"
MODEL_DATA = VENV / "model-data"
"""Packages of models/requirements.txt, off Python's path: without what they depend on, importing them fails."""

SETUP = ROOT / "setup.sh"
