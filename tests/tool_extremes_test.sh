#!/bin/sh
# Tables at the edges: a model, or a clear refusal. sh tests/tool_extremes_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

# scored OUT NUMBER: the model draws NUMBER rows, and its own draws have densities
scored() {
  run 0 sample "$1" -n "$2" --out drawn.csv
  run 0 log-prob "$1" drawn.csv --out scores.csv
  holds '[ "$(grep -cE "^-?[0-9]" scores.csv)" -eq '"$2"' ]'
}

# ---- columns of very small and very large numbers score as those of usual size do, but for the scale
awk 'BEGIN {
  srand(3)
  print "a,b,c" >"usual.csv"; print "a,b,c" >"scaled.csv"
  for (i = 0; i < 600; i++) {
    x = rand() + rand(); y = x * x + 0.1 * rand(); z = rand() - rand()
    printf "%.12g,%.12g,%.12g\n", x, y, z >"usual.csv"
    printf "%.12ge-12,%.12ge15,%.12g\n", x, y, z >"scaled.csv"
  }
}'
for table in usual scaled; do
  run 0 fit $table.csv --out $table.st --budget 150 --threads 1 --json
  holds '! grep -q "null" out.txt || ! grep -q "\"problem\": \"[^\"]" out.txt'
  scored $table.st 50
  run 0 log-prob $table.st $table.csv --json
  awk '$1 ~ /^"mean_log_likelihood"/ { print $2 + 0 }' out.txt >$table.mean
done
# (1e-12 and 1e15: the densities differ by the factor 1e-3)
holds 'awk "{ v[NR] = \$1 } END { d = v[1] - v[2] - 3 * log(10); exit !(d * d < 0.09) }" usual.mean scaled.mean'

# ---- two rows, one row, one column
printf 'x,y\n1,2\n3,5\n' >two.csv
refuses 1 "two.csv: 2 rows are too few to choose a model by" fit two.csv --out no.st
run 0 fit two.csv --out two.st --model maf --layers 1 --hidden 4 --epochs 1 --validation 0
scored two.st 2
printf 'x,y\n1,2\n' >one.csv
refuses 1 "1 row to train on; at least 2 are needed" fit one.csv --out no.st
printf 'x,y\n' >none.csv
refuses 1 "none.csv: " fit none.csv --out no.st
cut -d, -f1 usual.csv >column.csv
run 0 fit column.csv --out column.st --budget 150 --threads 1
scored column.st 20

# ---- far more columns than rows: memory for a model, not for thousands of millions of numbers
awk 'BEGIN {
  srand(1)
  for (c = 1; c <= 5000; c++) printf "c%d%s", c, c < 5000 ? "," : "\n"
  for (i = 0; i < 200; i++) for (c = 1; c <= 5000; c++) printf "%.5f%s", rand(), c < 5000 ? "," : "\n"
}' >wide.csv
run_within 6000 0 fit wide.csv --out wide.st --budget 20
says out.txt "200 rows, 5,000 columns"
scored wide.st 3

# ---- ten million rows, mapped and as text
run 0 fit column.csv --out narrow.st --model gaussian
run 0 sample narrow.st -n 10000000 --seed 1 --out long.npy
run 0 fit long.npy --out long.st --model gaussian --json
says out.txt '"train_rows": 9000000'
run 0 fit long.npy --out long.st --budget 20
says out.txt "10,000,000 rows, 1 column"
grep "all rows" out.txt >mapped.txt
run 0 sample narrow.st -n 10000000 --seed 1 --out long.csv
run 0 fit long.csv --out text.st --budget 20
holds 'grep "all rows" out.txt | cmp - mapped.txt'
run 0 log-prob long.st long.npy --json
says out.txt '"rows": 10000000'

holds '[ ! -e no.st ]'
finish
