# Sourced by run and test: finds Python, makes .venv, installs emberd into it.
# Needs `root` (the repository's folder) to be set.

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$(basename "$0"): $1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 1
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Sets `python` to the newest suitable one.
find_python() {
  local name
  if [ -n "${EMBERD_PYTHON:-}" ]; then
    is_new_enough "$EMBERD_PYTHON" || die "EMBERD_PYTHON=$EMBERD_PYTHON is no Python 3.11 or newer."
    python=$EMBERD_PYTHON
    return
  fi
  for name in python3.13 python3.12 python3.11 python3 python; do
    if command -v "$name" >/dev/null && is_new_enough "$name"; then
      python=$(command -v "$name")
      return
    fi
  done
  die "no Python 3.11 or newer was found." \
    "Install one (Debian and Ubuntu: apt-get install python3 python3-venv; macOS: brew install python)," \
    "or name one: EMBERD_PYTHON=/path/to/python $0"
}

# hnswlib comes as source for most systems, so it needs a compiler where it is to be installed.
check_compiler() {
  grep -q '"hnswlib' "$root/pyproject.toml" || return 0
  "$root/.venv/bin/python" -c 'import hnswlib' 2>/dev/null && return 0
  command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
    die "no C++ compiler was found; hnswlib is built from source." \
      "Debian and Ubuntu: apt-get install g++ python3-dev; Fedora: dnf install gcc-c++ python3-devel;" \
      "macOS: xcode-select --install"
}

make_venv() {
  [ -x "$root/.venv/bin/python" ] && is_new_enough "$root/.venv/bin/python" && return
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    die "$python cannot make virtual environments." \
      "Debian and Ubuntu: apt-get install python3-venv"
  "$python" -m venv --clear "$root/.venv" || die "could not make $root/.venv."
}

# install_into_venv EXTRAS: `pip install -e .[EXTRAS]`, unless pyproject.toml is the one that was
# installed last time.
install_into_venv() {
  local extras=$1 stamp want log
  find_python
  make_venv
  stamp="$root/.venv/.emberd-installed-${extras:-plain}"
  want=$("$root/.venv/bin/python" - "$root" <<'PY'
import hashlib, pathlib, sys
text = pathlib.Path(sys.argv[1], "pyproject.toml").read_bytes()
print(hashlib.sha256(text).hexdigest(), sys.version.split()[0], sys.argv[1])
PY
  )
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return
  check_compiler
  say "installing emberd and what it needs into .venv (a minute or two the first time)"
  log=$(mktemp)
  if ! "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --editable "$root${extras:+[$extras]}" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "pip could not install emberd." \
      "Is there a network, and does pip reach a package index? Try: .venv/bin/python -m pip download --no-deps click"
  fi
  rm -f "$log"
  printf '%s\n' "$want" >"$stamp"
}
