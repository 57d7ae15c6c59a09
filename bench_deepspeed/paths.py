"""Where things lie, relative to the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
LOGS = ROOT / "logs"
DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
VENV = ROOT / ".venv"
SETUP = ROOT / "setup.sh"
