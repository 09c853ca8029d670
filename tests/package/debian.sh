#!/bin/sh
# The packages that cpack -G DEB made: what they say, whether Debian can meet what they need, and whether the tool and
# clients of what they hold work: tests/package/debian.sh <build folder>
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

says() {
  dpkg-deb -f "$1" "$2" | grep -qE "$3" || {
    echo "$(basename "$1"): $2 is '$(dpkg-deb -f "$1" "$2")', expected $3"
    exit 1
  }
}
dev=$(ls "$build"/libpushforward-dev_*.deb)
tool=$(ls "$build"/pushforward_*.deb)
c=$(ls "$build"/libpushforward-c*.deb)
says "$dev" Depends 'libeigen3-dev.*libhwy-dev.*libpushforward-c'
says "$tool" Depends 'libc6 .*libhwy1'
says "$tool" Recommends gnuplot-nox
says "$c" Depends 'libc6 .*libhwy1'

for package in "$dev" "$tool" "$c"; do
  name=$(dpkg-deb -f "$package" Package)
  dpkg-deb -x "$package" "$work/root"
  [ -s "$work/root/usr/share/doc/$name/copyright" ] || {
    echo "$name has no copyright file"
    exit 1
  }
  ls -l "$package" | awk '{ print $9 ": " $5 " bytes" }'
done
apt-get install --simulate "$dev" "$tool" "$c" >"$work/log" 2>&1 || {
  cat "$work/log"
  exit 1
}

"$work/root/usr/bin/pushforward" --version
cmake -S "$root/tests/package" -B "$work/clients" -G Ninja -DCMAKE_PREFIX_PATH="$work/root/usr" >/dev/null
cmake --build "$work/clients" >/dev/null
"$work/clients/custom_bijector"
cmake -S "$root/tests/package/c" -B "$work/c" -G Ninja -DCMAKE_PREFIX_PATH="$work/root/usr" >/dev/null
cmake --build "$work/c" >/dev/null
"$work/c/c_client" "$root/tests/data/models_0_1/nsf_context.safetensors"
