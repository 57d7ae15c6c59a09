#!/usr/bin/env bash
# Every check that needs no GPU: lint, format, types, ShellCheck and the tests; sets up .venv first.
# Usage: tests/run.sh [lint|unit|contract|command|slow|soak|gpu] [pytest's arguments]
#   lint      lint, format, types, layers, ShellCheck, hadolint, and no test
#   unit      no process is started and no model computed: seconds
#   contract  every kind of result in every format, whole and damaged
#   command   bench.sh as a process, with the fake engine: output, files, signals, locks
#   slow      the real SmolLM2, a browser, the simulations, the documents' commands
#   soak      campaigns of random faults, an hour and more: no part of any other call, see tests/soak/__main__.py
#   gpu       what needs CUDA, and only that; in BENCH_PYTHON as it is, where that is set
# Without a name all of these run but the last two; lint at the same time, and its output comes last.
# With a folder's name only its tests run, without lint. Other arguments go to pytest, such as a path or -k.
# One test more runs at once than there are CPUs, four at most, since some wait; each has one thread of torch: threads
# that wait for each other's CPU burn it.
set -euo pipefail

unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
unset PYTHONDONTWRITEBYTECODE # the code is compiled once, not in each of two thousand processes

lint() {
  .venv/bin/ruff check .
  .venv/bin/ruff format --check .
  .venv/bin/mypy
  PYTHONPATH=. .venv/bin/lint-imports --no-logo
  .venv/bin/codespell
  find . -path './.?*' -prune -o -name '*.sh' -print0 | xargs -0 .venv/bin/shellcheck .ci/run
  .venv/bin/hadolint docs/Dockerfile
}

run_tests() { # <pytest's arguments>...
  local workers
  workers=$("$python" -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
  OMP_NUM_THREADS=1 "$python" -m pytest -m "not gpu" -n "$workers" "$@"
}

case ${1:-} in
  gpu)
    shift
    [[ -n ${BENCH_PYTHON:-} ]] || ./setup.sh --tests
    exec "${BENCH_PYTHON:-$python}" -m pytest tests/gpu -m gpu "$@"
    ;;
  lint)
    ./setup.sh --tests
    lint
    ;;
  soak)
    shift
    ./setup.sh --tests
    PYTHONPATH=.:tests${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m soak "$@"
    ;;
  unit | contract | command | slow)
    folder=tests/$1
    shift
    ./setup.sh --tests
    run_tests "$folder" "$@"
    ;;
  *)
    ./setup.sh --tests
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    lint >"$log" 2>&1 & # while the first tests wait: it uses one CPU
    linting=$! status=0
    run_tests "$@" || status=$?
    wait "$linting" || status=$?
    cat "$log"
    exit "$status"
    ;;
esac
