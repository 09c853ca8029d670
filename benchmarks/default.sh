#!/bin/sh
# What the plain command `pushforward fit table.csv --out model` is worth: its score on rows that it has not seen, beside
# scikit-learn's mixture, each preset alone with three times the steps, and the spline flows of zuko and nflows, on 20 toy
# densities and real tables: benchmarks/default.sh [--tables moons,ccpp] [--seeds 1,2,3] [--without presets,peers].
# The tables lie in ../shared/data/density or in the folder that PUSHFORWARD_DATA names.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=$root/build
data=${PUSHFORWARD_DATA:-$(dirname "$root")/shared/data}/density
venv=$build/default-peers
python=${PYTHON:-python3}

fail() {
  echo "benchmarks/default.sh: $1" >&2
  exit 1
}

[ -d "$data" ] || echo "benchmarks/default.sh: no tables in $data (set PUSHFORWARD_DATA): toy densities alone" >&2
if ! [ -f "$venv/complete" ] || ! cmp -s "$here/peers/default_requirements.txt" "$venv/complete"; then
  "$python" -m venv "$venv" || fail "no virtual environment at $venv: is the venv module (python3-venv) installed?"
  "$venv/bin/pip" install --quiet --requirement "$here/peers/default_requirements.txt" ||
    fail "the peers did not install: is the network reachable? (benchmarks/peers/default_requirements.txt)"
  cp "$here/peers/default_requirements.txt" "$venv/complete"
fi

cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" --target pushforward_tool --parallel
exec "$venv/bin/python" "$here/default.py" --tool "$build/tools/pushforward" --data "$data" "$@"
