#!/bin/sh
# Mistakes and mishaps that people reported, through the tool: sh tests/tool_cases_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

awk 'function normal() { return sqrt(-2 * log(1 - rand())) * cos(6.283185307 * rand()) }
  BEGIN { srand(3); print "x,y,t"; for (i = 0; i < 200; i++) { x = normal(); printf "%.4f,%.4f,%.3f\n", x, x + normal(), 10 + 30 * rand() } }' \
  >data.csv
quick="--model maf --layers 1 --hidden 8 --epochs 2"

# ---- a handful of rows judges nothing
head -23 data.csv >few.csv
run 0 fit few.csv --out few.st $quick
says err.txt "warning: only 2 rows to validate: nothing tells how good the model is on others; --folds judges by all of them"
holds '! grep -q "^  gain" out.txt'
head -4 data.csv >three.csv
run 0 fit three.csv --out three.st $quick
says err.txt "warning: no row is left to validate"
holds '! grep -q "^  gain" out.txt'
run 0 fit data.csv --out many.st $quick
says out.txt "  gain "
holds '! grep -q "to validate:" err.txt'

# ---- values far from 0 that float cannot tell apart
awk -F, 'NR == 1 { print "t,x" } NR > 1 { printf "%.1f,%s\n", 1700000000 + 60 * $1, $2 }' data.csv >unix.csv
refuses 1 "unix.csv: --precision float: column 't' has values up to 1.7e+09" fit unix.csv --out no.st $quick --precision float
run 0 fit unix.csv --out unix.st $quick
says out.txt "float64"

# ---- a model that cannot bend one column
cut -d, -f1 data.csv >one.csv
run 0 fit one.csv --out one.st $quick
says err.txt "warning: maf is affine, and of one column no more than a Gaussian; nsf_ar bends it"
run 0 fit one.csv --out one.st --model nsf_ar --layers 1 --hidden 8 --epochs 2
holds '! grep -q affine err.txt'

# ---- batches of one row
refuses 1 "pushforward: a batch of one row has no statistics for batch normalisation; --batch must be at least 2" \
  fit data.csv --out no.st --model maf --layers 2 --hidden 8 --epochs 2 --batch-norm --batch 1
refuses 1 "a batch of one row has no statistics for batch normalisation; the last one has what is left of the rows" \
  fit data.csv --out no.st --model maf --layers 2 --hidden 8 --epochs 2 --batch-norm --batch 2 --validation 0.005
run 0 fit data.csv --out ones.st $quick --batch 1

# ---- a context far from those that were seen
run 0 fit data.csv --out given.st $quick --context t
run 0 sample given.st -n 3 --context t=2000 --out drawn.csv
says err.txt "warning: context 't': 2000 lies outside the training range [10"
run 0 sample given.st -n 3 --context t=20 --out drawn.csv
holds '[ ! -s err.txt ]'

# ---- what some columns say of the others: y is x and as much noise
run 0 fit data.csv --out joint.st --model gaussian --drop t --validation 0
run 0 sample joint.st -n 2000 --given x=1.5 --out drawn.csv --json
says out.txt '"effective_sample_size"'
holds 'awk -F, "NR > 1 { if (\$1 != 1.5) bad = 1; s += \$2; q += \$2 * \$2; n++ }
  END { m = s / n; v = q / n - m * m; exit bad || n != 2000 || m < 1 || m > 2 || v < 0.6 || v > 1.5 }" drawn.csv'
run 0 sample joint.st -n 2000 --given x=1.5 --out again.csv
says out.txt "log density of what is given -"
holds 'cmp -s drawn.csv again.csv'
run 0 sample joint.st -n 5 --given x=9 --out far.csv
says err.txt "warning: 'x': 9 lies outside the training range ["
refuses 2 "--given: the model has no column 'z'; it has x, y" sample joint.st -n 5 --given z=1 --out no.csv
refuses 2 "--given: all columns are given; leave out those that are to be drawn" \
  sample joint.st -n 5 --given x=1,y=2 --out no.csv
printf 'y\n0\nNA\n2\n' >of_y.csv
run 0 log-prob joint.st of_y.csv --columns y --out of_y.out.csv
says out.txt "density of                    y, the other columns integrated out"
says out.txt "rows that miss a value        1: their log_prob is nan"
# A normal density of variance 2, as far as 200 rows tell.
holds 'awk -F, "NR == 2 { exit !(\$1 > -1.45 && \$1 < -1.1 && \$2 < 0.05) }" of_y.out.csv'
refuses 2 "--columns: the model has no column 'q'; it has x, y" log-prob joint.st of_y.csv --columns q --out no.csv
refuses 2 "--columns: given.st is conditional on t" log-prob given.st data.csv --columns x --out no.csv

# ---- decimal commas between commas
printf 'a\n1,5\n2,5\n3,25\n' >commas.csv
refuses 1 "expected 1 field, got 2; if these are decimal commas: --decimal , --delimiter ';'" fit commas.csv --out no.st $quick
run 0 fit commas.csv --out commas.st --model gaussian --validation 0 --decimal , --delimiter ';'

# ---- bounds that values reach
awk -F, 'NR == 1 { print "share,x" } NR > 1 { v = 50 + 40 * $1; v = v > 100 ? 100 : v < 0 ? 0 : v; printf "%.3f,%s\n", v, $2 }' \
  data.csv >share.csv
run 0 fit share.csv --out share.st --budget 200 --bounds share=0:100
says err.txt "column 'share' reaches its bounds: its values are taken as numbers in steps of 0.004"
run 0 sample share.st -n 2000 --seed 1 --out drawn.csv
holds 'awk -F, "NR > 1 && (\$1 < 0 || \$1 > 100) { bad = 1 } END { exit bad }" drawn.csv'
run 0 log-prob share.st share.csv --json
says out.txt '"rows_of_density_zero": 0'
run 0 fit share.csv --out share.st --model gaussian --bounds share=0:100
says out.txt "on grids     'share' (steps of 0.004)"
refuses 1 "does not lie inside its bounds (0, 100)" fit share.csv --out no.st $quick --bounds share=0:100 --no-dequantize

# ---- a run that is continued with other settings
run 0 fit data.csv --out run.st $quick --checkpoint run.ckpt
refuses 1 "run.ckpt: the checkpoint belongs to another run: learning_rate was" \
  fit data.csv --out no.st --model maf --layers 2 --hidden 8 --epochs 4 --lr 0.01 --checkpoint run.ckpt --resume
says err.txt "; the model has "
says err.txt " parts there and "
says err.txt "with the same settings it goes on, without resume a new run begins"
refuses 1 "the model has 'net: made" fit data.csv --out no.st --model maf --layers 1 --hidden 9 --epochs 4 --checkpoint run.ckpt --resume

# ---- a training that goes astray is no success
run 1 fit data.csv --out astray.st --model maf --layers 2 --hidden 8 --epochs 3 --lr 1000 --json
says err.txt "the model in 'astray.st' is "
says err.txt "nats worse than a Gaussian: the training went astray; try a smaller --lr"
says out.txt '"gain_over_gaussian"'

# ---- files without an end, names with control characters, a disk that is full
refuses 1 "/dev/zero: not a safetensors file" info /dev/zero
truncate -s 20G sparse.st
run_within 4000 1 info sparse.st
says err.txt "sparse.st: not a safetensors file"
cp run.st long.st
truncate -s 20G long.st
run_within 4000 1 info long.st
says err.txt "long.st: the tensors take "
(cat run.st /dev/zero | "$tool" info /dev/stdin >out.txt 2>err.txt)
status=$?
holds '[ $status -eq 1 ]'
says err.txt "bytes of data, the file has more"
printf 'a\033[2Jb,y\n' >names.csv
tail -n +2 data.csv | cut -d, -f1,2 >>names.csv
run 0 fit names.csv --out names.st --model gaussian
for command in "info names.st" "sample names.st -n 2 --seed 1"; do
  run 0 $command
  says out.txt 'a\x1b[2Jb'
  holds '! grep -q "$(printf "\033")" out.txt'
done
run 0 log-prob names.st names.csv --json
run 0 sample names.st -n 2 --seed 1 --out names-drawn.csv
run 0 log-prob names.st names-drawn.csv --json
TMPDIR=$PWD run 1 fit data.csv --out /dev/full --model gaussian
says err.txt "the model lies in '$PWD/pushforward-"
run 0 info pushforward-*-full
rm pushforward-*-full

holds '[ ! -e no.st ]'
finish
