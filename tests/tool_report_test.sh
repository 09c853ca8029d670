#!/bin/sh
# What the command line tool says of data that are hard to fit: sh tests/tool_report_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

small="--layers 1 --hidden 8 --epochs 2 --threads 1"

# ---- one column
awk 'BEGIN { srand(5); print "x,y"; for (i = 0; i < 100; i++) print rand() "," rand() }' >data.csv
for model in real_nvp nice nsf; do
  refuses 1 "couplings need at least 2 columns, got 1; take maf or nsf_ar" \
    fit data.csv --out no.st $small --columns x --model $model
  # (with a context, a coupling of one column would have nothing to change in every other layer)
  refuses 1 "couplings need at least 2 columns" fit data.csv --out no.st --columns x --context y --model $model
done

# ---- values whose squares overflow are not constant
printf 'a,b\n1e308,1\n-1e308,2\n2,3\n4,5\n' >huge.csv
overflow="column 'a' is spread so far that its variance is no finite number; give it in a larger unit"
refuses 1 "$overflow" fit huge.csv --out no.st --model gaussian
run 0 fit huge.csv --out huge.st $small --validation 0
says err.txt "no Gaussian to compare with: GaussianBaseline::fit: $overflow"

# ---- numbers of any size stay in their columns
awk 'BEGIN {
  srand(9)
  print "x,y"
  for (i = 0; i < 200; i++) print rand() * (i == 77 ? 1e12 : 1) "," rand()
}' >far.csv
run 0 fit far.csv --out far.st $small --standardize none --tail inf --scale-bound inf --input-bound inf --lr 0.3
awk '/^  (train|validation) / { n++; if (length($0) > 80 || $0 !~ /[^ ]  +[^ ]+ ± [^ ]+$/) exit 1 } END { exit n != 2 }' \
  out.txt || fault "columns of the report run into one another"
checks=$((checks + 1))
for size in 1e8 1e30 1e150; do
  awk -v size=$size 'BEGIN { print "x,y"; for (i = 0; i < 50; i++) print size * (1 + i) "," i }' >out.csv
  run 0 log-prob far.st out.csv
  holds '! grep -q "[0-9]\{20\}" out.txt'
  holds '! grep -q -e "-nan" out.txt'
done

finish
