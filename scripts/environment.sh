#!/usr/bin/env bash
# Sourced by the other scripts: creates the project's own Python environment, and creates it again whenever
# its requirements change. Needs Python 3.11 or newer with venv, and a package index; nothing else.
#
#   .venv                 what development and the embedded AWS need
#   .venv/lambda          wheels for Lambda, and the layer's packages for this machine (scripts/packages)
#   .venv/lambda/runtime  what the managed Lambda runtime brings (AWS's runtime client)
#   .venv-linters         checkers whose own pins would hold ours back (only scripts/test.sh asks for it)
#   .venv-sam             the SAM CLI, likewise (scripts/deploy.sh and the tests of deployment)

PROJECT_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      # Not a virtual environment's own, which may be the one that is about to be created again.
      "$candidate" -c 'import sys; print(sys._base_executable)'
      return
    fi
  done
  fail "Python 3.11 or newer is needed and was not found. Install it, or name it: PYTHON=/path/to/python3 $0"
}

# make_venv DIRECTORY WHAT REQUIREMENTS: a virtual environment with the requirements, unless it is there already.
make_venv() {
  local directory="$PROJECT_ROOT/$1" what="$2" requirements="$PROJECT_ROOT/$3" python fingerprint
  python="$(find_python)" || exit 1
  fingerprint="$("$python" -c 'import hashlib, sys, pathlib
print(sys.version.split()[0], hashlib.sha256(b"".join(pathlib.Path(p).read_bytes() for p in sys.argv[1:])).hexdigest())' \
    "${BASH_SOURCE[0]}" "$PROJECT_ROOT/requirements.txt" "$requirements")"
  [ -f "$directory/.complete" ] && [ "$(cat "$directory/.complete")" = "$fingerprint" ] && return
  printf 'Installing %s into %s (once, about a minute) ...\n' "$what" "$(basename "$directory")" >&2
  rm -rf "$directory"
  "$python" -m venv "$directory" ||
    fail "$python cannot create a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"
  if [ "$directory" = "$PROJECT_ROOT/.venv" ]; then
    # What is deployed comes first, each file by its hash; the packages for development must get along with it. pip
    # takes hashes for all packages or for none, so these two cannot be one.
    install_packages "$directory" --require-hashes -r "$PROJECT_ROOT/requirements.txt"
    sed -n 's/^\([a-z0-9-]*==[^ ;]*\).*/\1/p' "$PROJECT_ROOT/requirements.txt" >"$directory/deployed.txt"
    install_packages "$directory" -c "$directory/deployed.txt" -r "$requirements"
    install_packages "$directory" --target "$directory/lambda/runtime" "$(grep '^awslambdaric==' "$requirements")"
    # So that tests need no network.
    (cd "$PROJECT_ROOT" && "$directory/bin/python" -m scripts.packages --prepare >&2) || exit 1
  else
    install_packages "$directory" -r "$requirements"
  fi
  printf '%s' "$fingerprint" >"$directory/.complete"
}

install_packages() {
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}" >&2 ||
    fail "The packages could not be installed; the lines above say which. Check the network and the package index."
}

make_sam_venv() {
  make_venv .venv-sam "the SAM CLI" requirements-sam.txt
}

make_venv .venv "the project's packages" requirements-dev.txt

# place_in_memory GIB: print a directory in memory, if there is one with so much room, and so much memory is available.
# Containers often have a small one, or forbid to run programs from it, which the embedded AWS does.
place_in_memory() {
  local place=/dev/shm room=0 free=0 probe
  [ -w "$place" ] && room="$(df --output=avail -B1G "$place" | tail -n 1)"
  [ -r /proc/meminfo ] && free="$(awk '/^MemAvailable/ { print int($2 / 1024 / 1024) }' /proc/meminfo)"
  [ "$room" -ge "$1" ] && [ "$free" -ge "$1" ] || return 1
  probe="$(mktemp -p "$place")" || return 1
  if cp "$(type -P true)" "$probe" && chmod 700 "$probe" && "$probe" 2>/dev/null; then
    rm -f "$probe"
    printf '%s' "$place"
  else
    rm -f "$probe"
    return 1
  fi
}
