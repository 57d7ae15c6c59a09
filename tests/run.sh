#!/usr/bin/env bash
# Every check: lint, format, types, ShellCheck and the tests; sets up .venv first. Arguments go to pytest.
# Usage: tests/run.sh [gpu] [pytest's arguments]     gpu: the tests that need CUDA, and only those,
#                                                    in BENCH_PYTHON as it is, where that is set
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=.venv/bin

if [[ ${1:-} == gpu ]]; then
  shift
  [[ -n ${BENCH_PYTHON:-} ]] || ./setup.sh --tests
  exec "${BENCH_PYTHON:-$bin/python}" -m pytest tests/gpu -m gpu "$@"
fi

./setup.sh --tests
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
find . -path './.?*' -prune -o -name '*.sh' -print0 | xargs -0 "$bin/shellcheck" .ci/run
exec "$bin/python" -m pytest -m "not gpu" tests "$@"
