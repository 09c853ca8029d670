# Sourced by samples/run.sh and tests/run.sh: installs what Debian 12 lacks and configures the build. What is there
# already is left alone. Needs root or sudo only when something has to be installed.

set -eu
# A script in a folder deeper than one names the root itself.
root=${root:-$(cd "$(dirname "$0")/.." && pwd)}
build=${PUSHFORWARD_BUILD_DIR:-$root/build}
jobs=${PUSHFORWARD_JOBS:-$(nproc)}

# Where ccache is at hand, checkouts in different folders share what they compiled.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1

packages="g++ cmake ninja-build libeigen3-dev libboost-dev libhwy-dev zlib1g-dev catch2 nlohmann-json3-dev libcli11-dev libfmt-dev gnuplot-nox
  ${PUSHFORWARD_MORE_PACKAGES:-}"

missing=
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  echo "installing:$missing"
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif command -v sudo >/dev/null; then
    as_root=sudo
  else
    echo "these packages are missing and neither root nor sudo is at hand:$missing" >&2
    exit 1
  fi
  $as_root apt-get update -qq
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release ${PUSHFORWARD_CMAKE_OPTIONS:-} >"$build.configure.log" 2>&1 || {
  cat "$build.configure.log" >&2
  exit 1
}
rm -f "$build.configure.log"
