#!/bin/sh
# Installs the library, static and shared, and builds and runs clients against each with several flags of their own, and
# with another compiler.
root=$(cd "$(dirname "$0")/../.." && pwd)
PUSHFORWARD_MORE_PACKAGES="${PUSHFORWARD_MORE_PACKAGES:-} clang-16"
. "$root/cmake/setup.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The static library is the one of the ordinary build.
cmake --build "$build" -j "$jobs" --target pushforward pushforward_ports pushforward_tool pushforward_manual
cmake --install "$build" --prefix "$work/prefix-static" >/dev/null
for page in man/man1/pushforward.1 bash-completion/completions/pushforward; do
  [ -s "$work/prefix-static/share/$page" ] || {
    echo "not installed: share/$page"
    exit 1
  }
done
cmake -S "$root" -B "$build-shared" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
  -DPUSHFORWARD_BUILD_TESTS=OFF -DPUSHFORWARD_BUILD_SAMPLES=OFF -DPUSHFORWARD_BUILD_TOOLS=OFF >/dev/null
cmake --build "$build-shared" -j "$jobs"
cmake --install "$build-shared" --prefix "$work/prefix-shared" >/dev/null

# clients <static or shared> <compiler> <flags>
clients() {
  echo "$1 library, clients of $2 $3:"
  clients=$work/clients-$(echo "$*" | tr -d ' ')
  cmake -S "$root/tests/package" -B "$clients" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix-$1" \
    -DCMAKE_CXX_COMPILER="$2" -DCMAKE_CXX_FLAGS="$3" >/dev/null
  cmake --build "$clients" >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
  }
  "$clients/client"
  "$clients/custom_bijector"
}

# The program and the CMakeLists.txt of docs/guide/deploy_cpp.md, as they stand there, with a model of the tool's.
page() {
  echo "$1 library, the guide's program:"
  program=$work/page-$1
  mkdir "$program"
  awk '/^```cmake$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$root/docs/guide/deploy_cpp.md" \
    >"$program/CMakeLists.txt"
  awk '/^```cpp$/ { inside = 1; block = ""; next }
    /^```$/ { if (inside && block ~ /int main/) printf "%s", block; inside = 0 }
    inside { block = block $0 "\n" }' "$root/docs/guide/deploy_cpp.md" >"$program/main.cpp"
  awk 'BEGIN { OFS = ","; print "a", "b", "c"; for (i = 0; i < 200; i++) print rand(), rand(), rand() }' >"$program/data.csv"
  cmake -S "$program" -B "$program/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix-$1" >/dev/null
  cmake --build "$program/build" >/dev/null
  (cd "$program" && "$build/tools/pushforward" fit data.csv --model maf --layers 1 --hidden 8 --epochs 1 \
    --out model.safetensors >/dev/null && build/my_program)
}

for kind in static shared; do
  page $kind
  clients $kind g++ "-O2"
  clients $kind g++ "-O2 -march=native"
  clients $kind g++ "-O0 -march=native"
  clients $kind clang++-16 "-O2 -Wall -Wextra -Werror"
  # Containers of another size would be read wrongly, so this program must not come about.
  client=$work/client-$kind-debug-containers
  cmake -S "$root/tests/package" -B "$client" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix-$kind" \
    -DCMAKE_CXX_FLAGS="-D_GLIBCXX_DEBUG" >/dev/null
  if cmake --build "$client" >"$work/log" 2>&1 || ! grep -q the_library_is_not_built_with_GLIBCXX_DEBUG "$work/log"; then
    cat "$work/log"
    echo "$kind library: a client with -D_GLIBCXX_DEBUG was not refused"
    exit 1
  fi
done

# One name of a function of Eigen in both, and the linker gives the library the program's.
if nm -C "$(find "$work/prefix-static" -name libpushforward.a)" | grep -E '(^| |[<(,])Eigen::' >"$work/log"; then
  head -5 "$work/log"
  echo "the static library shares names of Eigen's with its users"
  exit 1
fi

strip -o "$work/stripped.so" "$(find "$work/prefix-shared" -type f -name 'libpushforward.so.*.*')"
size=$(stat -c %s "$work/stripped.so")
echo "stripped shared library: $size bytes"
[ "$size" -lt 8388608 ]
