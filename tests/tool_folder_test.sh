#!/bin/sh
# Tables in folders, tables larger than memory, and scores that go on: sh tests/tool_folder_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

mkdir parts
awk 'BEGIN {
  srand(7)
  print "a,b" >"all.csv"
  for (k = 1; k <= 12; k++) {
    file = "parts/p" k ".csv"
    print (k % 2 ? "a,b" : "b,a") >file
    for (i = 0; i < 400; i++) {
      a = rand() + rand() + rand() - 1.5; b = a * a + 0.3 * rand()
      printf "%.9f,%.9f\n", a, b >"all.csv"
      if (k % 2) printf "%.9f,%.9f\n", a, b >file
      else printf "%.9f,%.9f\n", b, a >file
    }
  }
}'

# ---- a folder is the table
few="--model maf --epochs 4 --seed 1"
# shellcheck disable=SC2086
run 0 fit all.csv $few --out file.st
# shellcheck disable=SC2086
run 0 fit parts $few --out folder.st
holds 'cmp -s file.st folder.st'
run 0 log-prob file.st all.csv --out file.csv
run 0 log-prob file.st parts --out folder.csv
holds 'cmp -s file.csv folder.csv'
run 0 log-prob file.st parts --out folder.npy
run 0 compare file.st folder.st parts
run 0 check file.st parts
says out.txt "p"
cp parts/p3.csv keep.csv
echo "1e3,1e3" >>parts/p3.csv
run 0 log-prob file.st parts --out far.csv
says out.txt "p3.csv:402 ("
run 0 log-prob file.st parts --json --out far.csv
says out.txt '"place": "p3.csv:402"'
echo "1,x" >>parts/p3.csv
refuses 1 'parts/p3.csv:403: column 2 ("b"): expected a number, got "x"' log-prob file.st parts --out no.csv
holds '[ ! -e no.csv ]'
cp keep.csv parts/p3.csv

# ---- scores go on where they stopped
awk 'BEGIN { print "a,b"; for (i = 0; i < 300000; i++) printf "%.6f,%.6f\n", (i % 1009) / 500 - 1, (i % 997) / 500 }' >many.csv
run 0 log-prob file.st many.csv --out whole.npy
refuses 2 "--resume: what is to go on needs a file" log-prob file.st many.csv --resume
refuses 2 "--resume: excludes --columns" log-prob file.st many.csv --resume --columns a --out x.csv
# What a killed run leaves, in whatever length.
for bytes in 0 5 8 1000003 2399992 2400000; do
  tail -c 2400000 whole.npy | head -c $bytes >again.npy.unfinished
  run 0 log-prob file.st many.csv --out again.npy --resume
  holds 'cmp -s whole.npy again.npy && [ ! -e again.npy.unfinished ]'
done
tail -c 2400000 whole.npy | head -c 1500000 >again.csv.unfinished
run 0 log-prob file.st many.csv --out again.csv --resume
run 0 log-prob file.st many.csv --out whole.csv
holds 'cmp -s whole.csv again.csv'
# Killed in earnest, a few times.
for delay in 0.05 0.1 0.15; do
  "$tool" log-prob file.st many.csv --out again.npy --resume >/dev/null 2>&1 &
  sleep $delay
  kill -9 $! 2>/dev/null
  wait $! 2>/dev/null
done
rm -f again.npy
run 0 log-prob file.st many.csv --out again.npy --resume
holds 'cmp -s whole.npy again.npy'
# Scores of another model, and more than there are rows.
# shellcheck disable=SC2086
run 0 fit all.csv --model maf --epochs 1 --seed 2 --out other.st
tail -c 2400000 whole.npy | head -c 1500000 >again.npy.unfinished
cp again.npy.unfinished before
refuses 1 "again.npy.unfinished: holds scores of another model or of other rows: row 1 has" \
  log-prob other.st many.csv --out again.npy --resume
holds 'cmp -s before again.npy.unfinished'
head -n 5 many.csv >five.csv
tail -c 2400000 whole.npy | head -c 80 >again.npy.unfinished
refuses 1 "again.npy.unfinished: holds the scores of 10 rows, and there are 4; remove it to begin again" \
  log-prob file.st five.csv --out again.npy --resume
cp five.csv again.npy.unfinished
refuses 2 "the file of --resume and the data are the same file" log-prob file.st again.npy.unfinished --out again.npy --resume
holds 'cmp -s five.csv again.npy.unfinished'
refuses 1 "cannot open for writing" log-prob file.st many.csv --out gone/x.npy

# ---- more scores than are kept in memory: twice the same rows have the quantiles of once
mkdir twice
awk 'BEGIN { print "a,b"; for (i = 0; i < 600000; i++) printf "%.4f,%.4f\n", (i % 1009) / 500 - 1, (i % 997) / 500 }' >twice/x.csv
run 0 log-prob file.st twice --out once.npy
grep "of all rows" out.txt >once
cp twice/x.csv twice/y.csv
run 0 log-prob file.st twice --out two.npy
says out.txt "$(cat once)"
tail -c 4800000 once.npy >scores
holds 'tail -c 9600000 two.npy | head -c 4800000 | cmp -s - scores && tail -c 4800000 two.npy | cmp -s - scores'

# ---- rows that take more than --memory are a file
# shellcheck disable=SC2086
run 0 fit parts $few --memory 20K --out scratch.st
says err.txt "the rows take 7.68e-05 GB, more than --memory; they are read from the disk, and shuffled by blocks"
holds '[ -z "$(find . -name ".pushforward*")" ]'
# shellcheck disable=SC2086
run 0 fit parts $few --memory 20K --threads 1 --out again.st
holds 'cmp -s scratch.st again.st'
run 0 log-prob scratch.st all.csv --out scratch.csv
mean() { awk 'NR > 1 { s += $1 } END { print s / (NR - 1) }' "$1"; }
holds "awk 'BEGIN { d = $(mean file.csv) - $(mean scratch.csv); exit !(d > -0.1 && d < 0.1) }'"
run 0 fit parts --budget 200 --memory 20K --out auto.st
says err.txt "shuffled by blocks"
run 0 fit parts --model gaussian --memory 20K --out gaussian.st
run 0 fit all.csv --model gaussian --out in-memory.st
run 0 log-prob gaussian.st all.csv --out a.csv
run 0 log-prob in-memory.st all.csv --out b.csv
holds 'cmp -s a.csv b.csv'
# shellcheck disable=SC2086
refuses 2 "--scratch" fit parts $few --memory 20K --scratch gone --out no.st
# shellcheck disable=SC2086
refuses 1 "--scratch names another folder" fit parts $few --memory 20K --scratch /proc --out no.st
# shellcheck disable=SC2086
run 0 fit parts $few --memory 1G --out ample.st
holds 'cmp -s file.st ample.st'

finish
