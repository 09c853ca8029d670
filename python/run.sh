#!/bin/sh
# Builds the wheel, installs it into a virtual environment, and runs its tests from an empty folder: sh python/run.sh
# [pytest arguments]. The environment stays in the build folder: what is done already is not done again.
# PUSHFORWARD_PEERS=1: the tests of flows of other libraries instead, and these libraries with them.
# PUSHFORWARD_CONVERSION=docs/conversion.md: what tests of conversions measure goes into the table of that page.
root=$(cd "$(dirname "$0")/.." && pwd)
PUSHFORWARD_MORE_PACKAGES="${PUSHFORWARD_MORE_PACKAGES:-} python3-dev python3-venv"
. "$root/cmake/setup.sh"

# At the depth of the other build folder, so that ccache knows the library's files again; and the environment's path is
# the same each time, for nanobind's.
wheel=$build-python
venv=$wheel/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
python=$venv/bin/python
"$python" -m pip install -q --disable-pip-version-check -r "$root/python/tests/requirements.txt"
# Its other dependencies are for its own examples.
"$python" -m pip install -q --disable-pip-version-check --no-deps nflows==0.14
if [ -n "${PUSHFORWARD_PEERS:-}" ]; then
  "$python" -m pip install -q --disable-pip-version-check -r "$root/python/tests/peers/requirements.txt"
fi

wheels=$wheel/wheels
rm -rf "$wheels"
# Python would name the compiler otherwise than CMake, and ccache would take it for another one.
CXX=${CXX:-c++} CMAKE_BUILD_PARALLEL_LEVEL=$jobs "$python" -m pip wheel -q --disable-pip-version-check \
  --no-build-isolation --no-deps --config-settings=build-dir="$wheel" -w "$wheels" "$root/python"
"$python" -m pip install -q --disable-pip-version-check --no-deps --force-reinstall "$wheels"/pushforward-*.whl

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
cp "$root"/python/tests/*.py "$empty"
if [ -n "${PUSHFORWARD_PEERS:-}" ]; then
  rm "$empty"/test_*.py
  cp "$root"/python/tests/peers/*.py "$empty"
fi
[ -z "${PUSHFORWARD_CONVERSION:-}" ] || PUSHFORWARD_CONVERSION=$(realpath "$PUSHFORWARD_CONVERSION")
export PUSHFORWARD_CONVERSION
cp -r "$root/docs/guide" "$empty"  # its pages are programs
# The settings of pytest, and the programs to try.
cp "$root/python/pyproject.toml" "$root/python/README.md" "$root/docs/conversion.md" "$empty"
cd "$empty"
# With the checks of scikit-learn that are left out without it.
SCIPY_ARRAY_API=1 "$python" -m pytest -q -p no:cacheprovider "$@" .
