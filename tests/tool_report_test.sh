#!/bin/sh
# What the command line tool says of data that are hard to fit: sh tests/tool_report_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

small="--layers 1 --hidden 8 --epochs 2 --threads 1"

# ---- one column
awk 'BEGIN { srand(5); print "x,y"; for (i = 0; i < 100; i++) print rand() "," rand() }' >data.csv
for model in real_nvp nice nsf; do
  refuses 1 "couplings need at least 2 columns, got 1; take nsf_ar or maf" \
    fit data.csv --out no.st $small --columns x --model $model
  # Given a context, a column alone has that to depend on.
  run 0 fit data.csv --out given.st $small --columns x --context y --model $model
  run 0 log-prob given.st data.csv --json
done

# ---- values whose squares overflow are not constant
printf 'a,b\n1e308,1\n-1e308,2\n2,3\n4,5\n' >huge.csv
overflow="column 'a' is spread so far that its variance is no finite number; give it in a larger unit"
refuses 1 "$overflow" fit huge.csv --out no.st --model gaussian
run 0 fit huge.csv --out huge.st $small --model maf --validation 0
says err.txt "no Gaussian to compare with: GaussianBaseline::fit: $overflow"

# ---- numbers of any size stay in their columns
awk 'BEGIN {
  srand(9)
  print "x,y"
  for (i = 0; i < 200; i++) print rand() * (i == 77 ? 1e12 : 1) "," rand()
}' >far.csv
run 0 fit far.csv --out far.st $small --model maf --standardize none --tail inf --scale-bound inf --input-bound inf --lr 0.3
awk '/^  (train|validation) / { n++; if (length($0) > 80 || $0 !~ /[^ ]  +[^ ]+ ± [^ ]+$/) exit 1 } END { exit n != 2 }' \
  out.txt || fault "columns of the report run into one another"
checks=$((checks + 1))
for size in 1e8 1e30 1e150; do
  awk -v size=$size 'BEGIN { print "x,y"; for (i = 0; i < 50; i++) print size * (1 + i) "," i }' >out.csv
  run 0 log-prob far.st out.csv --out scores.csv
  holds '! grep -q "[0-9]\{20\}" out.txt'
  holds '! grep -q -e "-nan" out.txt'
done

# ---- a few rows that carry the mean are named by their lines, and what the others say without them
awk 'BEGIN {
  srand(4)
  print "x,y"
  for (i = 0; i < 500; i++) print rand() + rand() + rand() "," rand() + rand()
}' >plain.csv
run 0 fit plain.csv --out plain.st --model gaussian
says out.txt "of validation rows: median "
holds '! grep -q "carr" out.txt'
run 0 log-prob plain.st plain.csv --out scores.csv
says out.txt "of all rows                   median "
holds '! grep -q "carr" out.txt'
others=$(awk '$1 == "mean" { print $3 }' out.txt)
sed -e '42s/.*/9000,1/' -e '333s/.*/1,-700/' plain.csv >two.csv
run 0 log-prob plain.st two.csv --out scores.csv
says out.txt "2 rows carry the mean: line 42 (-"
says out.txt ", line 333 (-"
says out.txt "rows outside training range   2 (0.4 %)"
says out.txt "in                 'x': 1"
says out.txt "in                 'y': 1"
# (two of 500 rows less)
awk -v others="$others" '/carry the mean/ { n++; if (!(($(NF - 2) - others) ^ 2 < 1e-4)) exit 1 } END { exit n != 1 }' out.txt ||
  fault "the mean of the other rows is not that of before"
checks=$((checks + 1))
run 0 log-prob plain.st two.csv --json
says out.txt '"far_rows": 2'
says out.txt '"line": 42'
says out.txt '"outside_by_column"'
# The first and the last percent are the numbers that they say.
run 0 log-prob plain.st plain.csv --out plain.npy
run 0 log-prob plain.st plain.csv --out plain-lp.csv
tail -n +2 plain-lp.csv | sort -g | awk '{ v[NR] = $1 } END { printf "median %.5g", (v[250] + v[251]) / 2 }' >median.txt
run 0 log-prob plain.st plain.csv --out scores.csv
says out.txt "$(cat median.txt)"
run 0 fit two.csv --out two.st --model gaussian --validation 0
says out.txt "2 rows carry the mean: line "

# ---- models side by side: the difference is that of the rows, with the error of the pairs
run 0 fit plain.csv --out flow.st --model maf --layers 1 --hidden 8 --epochs 3 --seed 2 --threads 1
run 0 log-prob flow.st plain.csv --out flow-lp.csv
run 0 compare plain.st flow.st plain.csv
says out.txt "rows   500"
paste -d, plain-lp.csv flow-lp.csv | tail -n +2 |
  awk -F, '{ d = $1 - $2; s += d; q += d * d; w += $1 > $2 } END {
    m = s / NR; printf "%.5f %.5f %.1f", m, sqrt((q / NR - m * m) / (NR - 1)), 100 * w / NR }' >expected.txt
read -r difference error wins <expected.txt
run 0 compare plain.st flow.st plain.csv --json
awk -v d="$difference" -v e="$error" '
  /"first_minus_this"/ { gsub(/,/, ""); if (++n == 2 && ($2 - d) ^ 2 > 1e-8) exit 1 }
  /"standard_error_of_difference"/ { gsub(/,/, ""); if (++m == 2 && ($2 - e) ^ 2 > 1e-8) exit 1 }
  END { exit n != 2 || m != 2 }' out.txt || fault "the paired difference is not that of the scores"
checks=$((checks + 1))
run 0 compare plain.st flow.st plain.csv
says out.txt "$wins %"
run 0 compare plain.st plain.st plain.csv
says out.txt " 0.0 %"
(cat plain.csv; echo ",1") >hole.csv
run 0 compare plain.st flow.st hole.csv
says out.txt "rows   500 (1 more miss a value)"
awk -F, 'NR == 1 { print "x,y" } NR > 1 { print int(4 * $1) "," $2 }' plain.csv >counts.csv
run 0 fit counts.csv --out mass.st --model gaussian --dequantize
run 0 fit counts.csv --out density.st --model gaussian
refuses 1 "a mass and a density cannot be compared" compare mass.st density.st counts.csv
run 0 fit plain.csv --out one.st --model gaussian --columns x
refuses 1 "cannot be compared" compare plain.st one.st plain.csv
refuses 2 "expected two models or more and a data file" compare plain.st plain.csv

finish
