#!/bin/sh
# Builds the wheel, installs it into a virtual environment, and runs its tests from an empty folder: sh python/run.sh
# [pytest arguments]. The environment stays in the build folder: what is done already is not done again.
root=$(cd "$(dirname "$0")/.." && pwd)
PUSHFORWARD_MORE_PACKAGES="${PUSHFORWARD_MORE_PACKAGES:-} python3-dev python3-venv"
. "$root/cmake/setup.sh"

venv=$build/python/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
python=$venv/bin/python
"$python" -m pip install -q --disable-pip-version-check -r "$root/python/tests/requirements.txt"

# The environment's path is the same each time, so that ccache knows its headers again.
wheels=$build/python/wheels
rm -rf "$wheels"
CMAKE_BUILD_PARALLEL_LEVEL=$jobs "$python" -m pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps \
  --config-settings=build-dir="$build/python/wheel" -w "$wheels" "$root/python"
"$python" -m pip install -q --disable-pip-version-check --no-deps --force-reinstall "$wheels"/pushforward-*.whl

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
cp "$root"/python/tests/*.py "$empty"
cp "$root/python/pyproject.toml" "$empty"  # the settings of pytest
cd "$empty"
"$python" -m pytest -q -p no:cacheprovider "$@" .
