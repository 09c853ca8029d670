#!/bin/sh
# Installs the library, shared and static, and builds and runs a client against each with several flags of its own.
. "$(dirname "$0")/../../tools/setup.sh" 2>/dev/null || true
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for kind in OFF ON; do
  cmake -S "$root" -B "$root/build-package-$kind" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=$kind \
    -DPUSHFORWARD_BUILD_TESTS=OFF -DPUSHFORWARD_BUILD_SAMPLES=OFF -DPUSHFORWARD_BUILD_TOOLS=OFF >/dev/null
  cmake --build "$root/build-package-$kind" -j "$(nproc)"
  cmake --install "$root/build-package-$kind" --prefix "$work/prefix-$kind" >/dev/null
  for flags in "-O2" "-O3 -march=native" "-O0 -mavx"; do
    name=$(echo "$flags" | tr -c 'a-zA-Z0-9\n' _)
    cmake -S "$root/tests/package" -B "$work/client-$kind-$name" -G Ninja \
      -DCMAKE_PREFIX_PATH="$work/prefix-$kind" -DCMAKE_CXX_FLAGS="$flags" >/dev/null
    cmake --build "$work/client-$kind-$name" >/dev/null
    echo "shared=$kind client $flags:"
    "$work/client-$kind-$name/client"
  done
done
size=$(strip -o "$work/stripped.so" "$work/prefix-ON"/lib/*/libpushforward.so && stat -c %s "$work/stripped.so")
echo "stripped shared library: $size bytes"
[ "$size" -lt 8388608 ]
