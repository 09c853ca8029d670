#!/bin/sh
# Builds the wheel, installs it into a virtual environment, and runs its tests from an empty folder: sh python/run.sh
# [pytest arguments]. The environment stays in the build folder: what is done already is not done again.
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

wheels=$wheel/wheels
rm -rf "$wheels"
# Python would name the compiler otherwise than CMake, and ccache would take it for another one.
CXX=${CXX:-c++} CMAKE_BUILD_PARALLEL_LEVEL=$jobs "$python" -m pip wheel -q --disable-pip-version-check \
  --no-build-isolation --no-deps --config-settings=build-dir="$wheel" -w "$wheels" "$root/python"
"$python" -m pip install -q --disable-pip-version-check --no-deps --force-reinstall "$wheels"/pushforward-*.whl

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
cp "$root"/python/tests/*.py "$empty"
cp -r "$root/docs/guide" "$empty"  # its pages are programs
cp "$root/python/pyproject.toml" "$root/python/README.md" "$empty"  # the settings of pytest; the program to try
cd "$empty"
# With the checks of scikit-learn that are left out without it.
SCIPY_ARRAY_API=1 "$python" -m pytest -q -p no:cacheprovider "$@" .
