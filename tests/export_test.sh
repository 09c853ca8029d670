#!/bin/sh
# Headers of many models, compiled as C and C++ and run beside the library: sh tests/export_test.sh path/to/export_cases
# Looks at CC and CXX.
set -eu
cases=$1
expected=$(cd "$(dirname "$0")" && pwd)/data/export_refused.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cases" "$work" >"$work/refused.txt"
# What is refused, and why, word by word.
diff "$expected" "$work/refused.txt"
cd "$work"
warnings="-Wall -Wextra -pedantic -Werror"
status=0
for type in double float; do
  optimised=-O0
  [ $type = float ] || optimised=-O1  # finds more to warn of
  ${CC:-cc} -std=c99 $warnings $optimised $type.c -o $type -lm
  ./$type || status=1
  ${CXX:-c++} -x c++ -std=c++17 $warnings -fsyntax-only $type.c
  ${CC:-cc} -std=c99 $warnings -ffreestanding -fsyntax-only $type.c
done
exit $status
