#!/bin/sh
# Installs the library, static and shared, moves what is installed, and builds and runs clients against each: with CMake,
# with several flags of their own and with another compiler; with pkg-config; in C and other languages.
root=$(cd "$(dirname "$0")/../.." && pwd)
PUSHFORWARD_MORE_PACKAGES="${PUSHFORWARD_MORE_PACKAGES:-} clang-16 pkg-config python3"
. "$root/cmake/setup.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The static library is the one of the ordinary build.
cmake --build "$build" -j "$jobs" --target pushforward pushforward_ports pushforward_c pushforward_tool pushforward_manual
cmake --install "$build" --prefix "$work/first-static" >/dev/null
for file in man/man1/pushforward.1 bash-completion/completions/pushforward doc/pushforward/LICENSE; do
  [ -s "$work/first-static/share/$file" ] || {
    echo "not installed: share/$file"
    exit 1
  }
done
cmake -S "$root" -B "$build-shared" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
  -DPUSHFORWARD_BUILD_TESTS=OFF -DPUSHFORWARD_BUILD_SAMPLES=OFF -DPUSHFORWARD_BUILD_TOOLS=OFF >/dev/null
cmake --build "$build-shared" -j "$jobs"
cmake --install "$build-shared" --prefix "$work/first-shared" >/dev/null

# What is installed may be moved, and to another machine: it names neither folder, and no library by its path.
for kind in static shared; do
  mv "$work/first-$kind" "$work/prefix-$kind"
  if grep -rnE "$work|$root|/usr/|/lib/[a-z0-9_]*-linux-gnu" "$work/prefix-$kind"/lib*/cmake "$work/prefix-$kind"/lib*/pkgconfig; then
    echo "the installed $kind package names folders of the machine that it was built on"
    exit 1
  fi
done

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
  clients $kind g++ "-O0 -march=native -fvisibility=hidden"
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

  echo "$kind library, client by pkg-config:"
  PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix-$kind" -name pushforward.pc)")
  export PKG_CONFIG_PATH
  # shellcheck disable=SC2046
  g++ -std=c++20 -O1 "$root/samples/custom_bijector.cpp" -o "$work/by-pkg-config-$kind" \
    $(pkg-config --cflags --libs pushforward)
  LD_LIBRARY_PATH=$PKG_CONFIG_PATH/.. "$work/by-pkg-config-$kind"

  # The C interface: a program in C, by CMake and by pkg-config, and nothing but its functions for others to see.
  echo "$kind library, clients of the C interface:"
  model=$root/tests/data/models_0_1/nsf_context.safetensors
  cmake -S "$root/tests/package/c" -B "$work/c-$kind" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix-$kind" >/dev/null
  cmake --build "$work/c-$kind" >/dev/null
  "$work/c-$kind/c_client" "$model"
  # shellcheck disable=SC2046
  cc -std=c99 "$root/tests/c_interface_c99_test.c" -o "$work/c-by-pkg-config-$kind" \
    $(pkg-config --cflags --libs pushforward_c) -lm
  LD_LIBRARY_PATH=$PKG_CONFIG_PATH/.. "$work/c-by-pkg-config-$kind" "$model"
  nm -D --defined-only "$PKG_CONFIG_PATH/../libpushforward_c.so" | awk '{ print $3 }' | sort >"$work/exported"
  sed -n 's/^PF_API .*[ *]\(pf_[a-z_]*\)(.*/\1/p' "$root/c/include/pushforward.h" | sort >"$work/declared"
  [ -s "$work/declared" ] && diff "$work/declared" "$work/exported" || {
    echo "libpushforward_c.so exports other functions than pushforward.h declares"
    exit 1
  }
done
python3 "$root/tests/package/c_page.py" "$work/prefix-static" "$build/tools/pushforward" \
  "$root/samples/data/power_plant.csv" c python julia

# One name of a function of Eigen in both, and the linker gives the library the program's.
if nm -C "$(find "$work/prefix-static" -name libpushforward.a)" | grep -E '(^| |[<(,])Eigen::' >"$work/log"; then
  head -5 "$work/log"
  echo "the static library shares names of Eigen's with its users"
  exit 1
fi

library=$(find "$work/prefix-shared" -type f -name 'libpushforward.so.*.*')
# What the library is made of is no business of a program's.
nm -D --defined-only "$library" | awk '{ print $3 }' >"$work/exported"
if grep -vE '^_Z(T[A-Za-z0-9_]*)?NK?11pushforward' "$work/exported" >"$work/log" ||
  grep "^_ZN11pushforward7kernels" "$work/exported" >"$work/log"; then
  head -5 "$work/log"
  echo "the shared library exports what is not its own"
  exit 1
fi
strip -o "$work/stripped.so" "$library"
size=$(stat -c %s "$work/stripped.so")
echo "stripped shared library: $size bytes"
# A hundred classes in two scalar types, some 5 kB each, and the kernels of every instruction set.
[ "$size" -lt 10485760 ]
