#!/usr/bin/env bash
# The library against an independent NumPy reader: sh tests/numpy_check.sh <path of the program write_models>
# Each model that the program writes is evaluated by tests/numpy_log_prob.py; log_prob must agree to 1e-10.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: tests/numpy_check.sh <write_models>" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" "$folder"
count=0
failed=0
for model in "$folder"/*.safetensors; do
  count=$((count + 1))
  if ! python3 "$root/tests/numpy_log_prob.py" "$model" "${model%.safetensors}.csv" --expect log_prob --tolerance 1e-10; then
    failed=$((failed + 1))
  fi
done
echo "$count models, $failed failed"
[ "$count" -ge 40 ] && [ "$failed" -eq 0 ]
