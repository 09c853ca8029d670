#!/bin/sh
# Compares this library with its peers on this machine and writes benchmarks/RESULTS.md.
# Options are handed on to compare.py, for example: benchmarks/run.sh --only train_step --rounds 3
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=$root/build
venv=$build/peers
python=${PYTHON:-python3}

fail() {
  echo "benchmarks/run.sh: $1" >&2
  exit 1
}

command -v cmake >/dev/null 2>&1 || fail "cmake is missing"
command -v "$python" >/dev/null 2>&1 || fail "Python is missing: install Python 3.11 or newer, or set PYTHON to one"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than Python 3.11"

if ! [ -f "$venv/complete" ] || ! cmp -s "$here/peers/requirements.txt" "$venv/complete"; then
  "$python" -m venv "$venv" || fail "no virtual environment at $venv: is the venv module (python3-venv) installed?"
  "$venv/bin/pip" install --quiet --requirement "$here/peers/requirements.txt" ||
    fail "the peers did not install: is the network reachable? (benchmarks/peers/requirements.txt)"
  cp "$here/peers/requirements.txt" "$venv/complete"
fi

cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DPUSHFORWARD_BUILD_BENCHMARKS=ON
cmake --build "$build" --target engine --parallel

tables=$build/results.md
rm -f "$tables"
"$venv/bin/python" "$here/compare.py" --engine "$build/benchmarks/engine" "$@" --out "$tables"
{
  echo "# Benchmarks against other libraries"
  echo
  echo "Written by \`benchmarks/run.sh\`; the same command repeats it. What the work is: \`benchmarks/PEERS.md\`; what is"
  echo "missed and why: \`benchmarks/MARKS.md\`."
  echo
  cat "$tables"
} >"$here/RESULTS.md"
echo "wrote $here/RESULTS.md"
