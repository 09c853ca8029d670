#!/bin/sh
# No call runs back up: every symbol of ours that an object of the library needs is defined in an object of its own layer
# or of a lower one. Includes are looked at by architecture_test; this also finds what is declared below and defined above.
#   sh calls_test.sh <folder with the library's objects>
set -eu
cd "$1"
find . -name '*.o' | sort | while read -r object; do
  nm -P "$object" | sed "s|^|${object#./} |"
done | awk '
  function layer_of(path) {
    if (path ~ /^src\/core\/(error|number_text)\./) return 0
    if (path ~ /^src\/kernels\//) return 1
    if (path ~ /^src\/core\/(packed_weights|tape)\./) return 2
    if (path ~ /^src\/(ops|numerics)\//) return 3
    if (path ~ /^src\/(core|batch_norm)\//) return 4
    if (path ~ /^nn\//) return 5
    if (path ~ /^bijectors\//) return 6
    if (path ~ /^distributions\//) return 7
    if (path ~ /^flows\//) return 8
    if (path ~ /^src\/io\//) return 9
    if (path ~ /^src\/training\//) return 10
    if (path ~ /^src\/(diagnostics|inference|testing)\//) return 11
    print path " belongs to no layer" > "/dev/stderr"
    failed = 1
    exit 1
  }
  $2 !~ /11pushforward/ { next }
  $3 == "U" { needs[$2 SUBSEP $1] = layer_of($1); next }
  {
    layer = layer_of($1)
    if (!($2 in defined) || layer < defined[$2]) defined[$2] = layer
    ++definitions
  }
  END {
    if (failed) exit 1
    if (definitions < 1000) { print "only " definitions " definitions found"; exit 1 }
    for (pair in needs) {
      split(pair, part, SUBSEP)
      if (part[1] in defined && defined[part[1]] > needs[pair]) {
        print part[2] " (layer " needs[pair] ") needs " part[1] " (layer " defined[part[1]] ")"
        failed = 1
      }
    }
    exit failed
  }'
