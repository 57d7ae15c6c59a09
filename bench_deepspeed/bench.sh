#!/usr/bin/env bash
# The one entry point: finds a Python and hands it the flags. `bench.sh --help` lists them.
# The flags are checked before anything is installed; then setup.sh makes .venv where it is missing.
set -euo pipefail

self=$(readlink -f -- "${BASH_SOURCE[0]}") # a link to this file may lie anywhere
root=${self%/*/*}
python=${BENCH_PYTHON:-}
if [[ -z $python ]]; then
  unset PYTHONHOME PYTHONPATH # another Python's packages; a Python that is named by BENCH_PYTHON may need them
  python=$root/.venv/bin/python
  [[ -x $python ]] || python=python3
fi
if ! command -v "$python" >/dev/null; then
  echo "bench.sh: error: no Python at '$python': install Python 3.10 or newer, or set BENCH_PYTHON" >&2
  exit 3
fi

# Safe path: a torch.py in the user's folder must not be imported (Python 3.11 and newer).
export PYTHONSAFEPATH=1 PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
# A limit of a file's size would have Python keep compiled files that are cut, and fail over them ever after.
[[ $(ulimit -f) == unlimited ]] || export PYTHONDONTWRITEBYTECODE=1
# Signals wait until Python handles them (core/signals.py): at its start Ctrl-C would be a traceback. GNU env 8.31.
later=(env "--block-signal=INT,TERM,HUP")
"${later[@]}" true 2>/dev/null || later=()
exec ${later[@]+"${later[@]}"} "$python" -m bench_deepspeed "$@"
