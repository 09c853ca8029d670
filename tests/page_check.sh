#!/bin/sh
# Pages of `check` as a browser shows them: sh tests/page_check.sh path/to/pushforward FOLDER_FOR_SCREENSHOTS
set -eu
tool=$(realpath "$1")
check=$(realpath "$(dirname "$0")/page_check.py")
mkdir -p "$2"
shots=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

awk 'BEGIN {
  srand(1)
  print "x,a column with a rather long name of its own,z,c1,c2,c3,c4,c5,count"
  for (i = 0; i < 3000; i++) {
    x = rand() + rand() + rand(); y = 0.6 * x + rand() * x
    printf "%.6g,%.6g,%.6g", x, 1e6 * y, 1e-4 * (rand() - rand())
    for (k = 0; k < 5; k++) printf ",%.6g", rand() + rand() + 0.2 * x
    printf ",%d\n", 4 * rand() * rand()
  }
}' >data.csv
page() {  # page NAME [OPTION ...]: fits with the options, and checks
  name=$1
  shift
  "$tool" fit data.csv --out "$name.st" "$@" >fit.txt
  "$tool" check "$name.st" data.csv --out "$name.html" >check.txt
}
flow="--model maf --layers 1 --hidden 8 --epochs 3"
page gaussian --model gaussian
page one --model gaussian --columns x
# shellcheck disable=SC2086
page context $flow --columns x,z --context c1
page counts --model gaussian --columns x,count --dequantize
"$tool" sample gaussian.st -n 2000 --out right.csv
printf '{"epoch":%s,"train_loss":%s,"validation_loss":%s}\n' 1 5 6 2 3.5 3.75 3 3.25 null 4 3.1 3.6 >run.jsonl
"$tool" check gaussian.st right.csv --columns c5,count,z --log run.jsonl --out right.html >check.txt
python3 "$check" "$shots" gaussian.html one.html context.html counts.html right.html
