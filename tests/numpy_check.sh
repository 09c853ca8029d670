#!/usr/bin/env bash
# The library against the reader that docs/model_file.md prints: tests/numpy_check.sh <write_models> <pushforward>
# Each model that the first program writes is read by the code blocks of the page, with NumPy; log_prob must agree to
# 1e-10 with the library and with what the tool prints, and the tool must read what the page's writer writes.
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: tests/numpy_check.sh <write_models> <pushforward>" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
tool=$(realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" "$folder/models"
python3 "$root/tests/numpy_check.py" "$folder/models" "$tool"

# The commands of the page, as they stand there.
mkdir "$folder/docs"
cp "$root/docs/model_file.md" "$folder/docs"
cp "$folder/models/nsf_context.safetensors" "$folder/flow.safetensors"
sed 's/,[^,]*$//' "$folder/models/nsf_context.csv" >"$folder/rows.csv"
cd "$folder"
awk '/^```sh$/ {on = 1; next} /^```$/ {on = 0} on' docs/model_file.md >commands.sh
sh -eu commands.sh >printed.txt
awk -F, 'NR > 1 {print $NF}' models/nsf_context.csv | paste -d ' ' printed.txt - |
  awk '{d = $1 - $2; if (d < 0) d = -d; if (!(d < 1e-6)) exit 1} END {exit !(NR == 200)}' || {
  echo "the page's commands print other values" >&2
  exit 1
}
echo "the page's commands: 200 rows"
