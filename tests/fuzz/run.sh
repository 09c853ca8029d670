#!/usr/bin/env bash
# Fuzzes the readers of untrusted files under ASan and UBSan: tests/fuzz/run.sh <runs> [csv|npy|safetensors|model ...]
# Stops at the first finding, which stays in the build folder. Needs clang-16, libclang-rt-16-dev and what the library
# needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=${1:-1000000}
shift || true
targets=${*:-csv npy safetensors model}
build=${PUSHFORWARD_FUZZ_BUILD_DIR:-$PWD/build-fuzz}
clang=${PUSHFORWARD_CLANG:-clang++-16}
compiler=$clang
if command -v ccache >/dev/null; then compiler="ccache $clang"; fi
jobs=${PUSHFORWARD_JOBS:-$(nproc)}

# The library is compiled with coverage and sanitizers too; without them its kernels, which never see a file: with them
# the compiler takes several minutes for each.
compile() {
  local object own=$flags
  object="$objects_folder/$(echo "$1" | tr '/' '_').o"
  case $1 in src/kernels/*) own="$own -fno-sanitize=all -DHWY_COMPILE_ONLY_STATIC" ;; esac
  # shellcheck disable=SC2086
  $compiler $own -c "$1" -o "$object" || exit 255  # which stops xargs
  echo "$object"
}
export -f compile
export compiler flags objects_folder

cmake -D ROOT="$PWD" -D OUT="$build/include" -P cmake/classes.cmake
readers="src/core/error.cpp src/io/columns.cpp src/io/file.cpp src/io/inflate.cpp src/io/csv.cpp src/io/npy.cpp
  src/io/npy_format.cpp src/io/npz.cpp src/io/numbers.cpp src/io/safetensors.cpp"
for target in $targets; do
  sources=$readers
  libraries=-lz
  if [ "$target" = model ]; then
    # What a model file reaches.
    sources=$(find src nn bijectors distributions flows -name '*.cpp' ! -path 'src/t[er]*ing/*' ! -path 'src/export/*' \
      ! -path 'src/diagnostics/*' ! -path 'src/inference/*' ! -name csv.cpp ! -name '*np[yz]*.cpp' ! -name table.cpp | sort)
    libraries="-lhwy -lpthread -lz"
  fi
  objects_folder=$build/objects/$target
  mkdir -p "$objects_folder"
  flags="-std=c++20 -O1 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
    -DFMT_HEADER_ONLY ${PUSHFORWARD_FUZZ_FLAGS:-} -Iinclude -I$build/include -I. -isystem /usr/include/eigen3 -ffp-contract=off"
  flags=$(echo "$flags" | tr '\n' ' ')
  # shellcheck disable=SC2086
  objects=$(printf '%s\n' $sources "tests/fuzz/fuzz_$target.cpp" | xargs -P "$jobs" -I{} bash -c 'compile {}')
  # shellcheck disable=SC2086
  $clang -fsanitize=fuzzer,address,undefined $objects $libraries -o "$build/fuzz_$target"
  mkdir -p "$build/corpus/$target"
  echo "fuzz_$target: $runs runs"
  # Twenty seconds for one input are a finding, and a single allocation of 512 MB.
  (cd "$build" && "./fuzz_$target" -runs="$runs" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=16384 \
    -print_final_stats=1 -verbosity=1 "corpus/$target" "$OLDPWD/tests/fuzz/corpus/$target" >"fuzz_$target.log" 2>&1) || {
    tail -n 60 "$build/fuzz_$target.log"
    echo "fuzz_$target: a finding; log and input in $build" >&2
    exit 1
  }
  grep -E 'stat::|^Done' "$build/fuzz_$target.log"
done
