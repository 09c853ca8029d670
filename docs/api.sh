#!/bin/sh
# Pages of the public headers, by Doxygen: sh docs/api.sh [FOLDER]. They lie in build/api, or in FOLDER. A warning is an
# error. With the Debian package doxygen-awesome-css they have its style, and Doxygen's own without; a folder of another
# version of it: PUSHFORWARD_DOXYGEN_CSS=FOLDER.
set -eu
cd "$(dirname "$0")/.."
out=${1:-${PUSHFORWARD_BUILD_DIR:-build}/api}
css=${PUSHFORWARD_DOXYGEN_CSS:-/usr/share/doxygen-awesome-css}
command -v doxygen >/dev/null || {
  echo "doxygen is not installed; on Debian: apt-get install doxygen doxygen-awesome-css" >&2
  exit 1
}
version=$(sed -n 's/^project(pushforward VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
mkdir -p "$out"
{
  echo "@INCLUDE = docs/Doxyfile"
  echo "PROJECT_NUMBER = $version"
  echo "OUTPUT_DIRECTORY = $out"
  echo "WARN_LOGFILE = $out/warnings"
  [ ! -e "$css/doxygen-awesome.css" ] || echo "HTML_EXTRA_STYLESHEET = $css/doxygen-awesome.css"
} | doxygen - >/dev/null
if [ -s "$out/warnings" ]; then
  cat "$out/warnings" >&2
  exit 1
fi
echo "$out/html/index.html"
