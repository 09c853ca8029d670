#!/bin/sh
# Installs what is missing, builds, and runs every test: sh tests/run.sh [name-of-test ...]
. "$(dirname "$0")/../cmake/setup.sh"

cmake --build "$build" -j "$jobs"
if [ $# -gt 0 ]; then
  ctest --test-dir "$build" --output-on-failure -R "$(echo "$@" | tr ' ' '|')"
else
  ctest --test-dir "$build" --output-on-failure -j "$jobs"
fi
