#!/bin/sh
# Scores of flows on real data, each beside what is published, and what they say of far rows:
# benchmarks/scores.sh real_data | rnade | far_rows | miniboone | bsds300
# [options of the program]. The data sets lie in ../shared/data or in the folder that PUSHFORWARD_DATA names.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=$root/build
data=${PUSHFORWARD_DATA:-$(dirname "$root")/shared/data}

fail() {
  echo "benchmarks/scores.sh: $1" >&2
  exit 1
}

program=${1:-}
case $program in
  real_data | rnade | far_rows) folder=$data/density ;;
  miniboone | bsds300) folder=$data/$program ;;
  *) fail "say which: real_data, rnade, far_rows, miniboone or bsds300" ;;
esac
shift
[ -d "$folder" ] || fail "no data set in $folder; set PUSHFORWARD_DATA to the folder that holds it"

cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DPUSHFORWARD_BUILD_BENCHMARKS=ON >/dev/null
cmake --build "$build" --target "$program" --parallel

if [ "$program" = bsds300 ]; then
  if ! [ -f "$build/bsds300/complete" ]; then
    mkdir -p "$build/bsds300"
    tar -xJf "$folder/gray.tar.xz" -C "$build/bsds300" || fail "cannot unpack $folder/gray.tar.xz"
    touch "$build/bsds300/complete"
  fi
  exec "$build/benchmarks/bsds300" "$build/bsds300/gray" "$folder/val_images.txt" "$@"
fi
exec "$build/benchmarks/$program" "$folder" "$@"
