#!/bin/sh
# The command line tool from end to end, on data made here: sh tests/tool_test.sh path/to/pushforward
arrays=$(cd "$(dirname "$0")/fuzz/corpus/npy" && pwd)
. "$(dirname "$0")/tool_checks.sh"

# ---- data: a bent ridge, a positive column that goes with it, a text column, weights
awk 'BEGIN {
  srand(7)
  print "id,x,y,size,w"
  for (i = 0; i < 2000; i++) {
    a = sqrt(-2 * log(1 - rand())) * cos(6.283185307 * rand())
    b = sqrt(-2 * log(1 - rand())) * cos(6.283185307 * rand())
    printf "row%d,%.9f,%.9f,%.9f,%d\n", i, a, a * a + 0.3 * b, exp(0.5 * a + 0.2 * b), 1 + i % 3
  }
}' >data.csv
# Other order, one column more.
awk -F, '{ print $4 "," $3 ",7," $2 }' data.csv | sed '1s/.*/size,y,other,x/' >shuffled.csv
small="--layers 2 --hidden 16,16 --epochs 8 --batch 128 --lr 0.005 --threads 2"

# ---- usage
run 0 --help
says out.txt log-prob
run 0 --version
says out.txt "pushforward "
refuses 2 "a command is missing"
refuses 2 "see 'pushforward fit --help'" fit
refuses 2 "--model" fit data.csv --out m.st --model glow
refuses 2 "--epochs" fit data.csv --out m.st --epochs none
refuses 2 "equal widths" fit data.csv --out m.st --model maf --hidden 128,64
refuses 2 "--hidden" fit data.csv --out m.st --hidden 12.5
refuses 2 "--blocks" fit data.csv --out m.st --model maf --blocks 3
refuses 2 "splines have --bound" fit data.csv --out m.st --drop id --model nsf --tail 4
# No number is NaN, and each refusal says the range.
for option in lr weight-decay clip validation dropout; do
  refuses 2 "--$option: expected a number " fit data.csv --out m.st --drop id --$option nan
  refuses 2 "--$option: expected a number " fit data.csv --out m.st --drop id --$option -1
  refuses 2 "got '-nan'" fit data.csv --out m.st --drop id --$option=-nan
done
for option in scale-bound tail input-bound; do
  refuses 2 "--$option: expected a number above 0, or inf, got 'nan'" fit data.csv --out m.st --$option nan
done
refuses 2 "--bound: expected a number above 0, got 'nan'" fit data.csv --out m.st --model nsf --bound nan
refuses 2 "--validation: expected a number from 0 to 0.9, got 'nan'" fit data.csv --out m.st --validation nan
for option in layers blocks bins epochs batch patience threads seed; do
  refuses 2 "--$option" fit data.csv --out m.st --$option nan
done
refuses 2 "expected column=low:high" fit data.csv --out m.st --drop id --bounds size=nan:1
# What would change nothing is refused by the names of option and model.
for option in "--layers 7" "--hidden 8" --residual "--blocks 2" "--bins 8" "--bound 3" "--scale-bound 2" "--tail 2" \
  "--input-bound 2" "--activation elu" "--mixing lu" --batch-norm --act-norm "--dropout 0.5" "--standardize none" \
  "--epochs 3" "--batch 9" "--lr 0.1" "--schedule cosine" "--weight-decay 0.1" "--clip 1" "--patience 3" \
  "--checkpoint c" --resume; do
  refuses 2 "${option%% *}: has no effect with --model gaussian" fit data.csv --out m.st --drop id --model gaussian $option
done
refuses 2 "--bins: maf has no splines" fit data.csv --out m.st --model maf --bins 8
refuses 2 "--bound: real_nvp has no splines" fit data.csv --out m.st --model real_nvp --bound 2
refuses 2 "--scale-bound: goes with flows of affine maps; nsf_ar is made of splines" fit data.csv --out m.st --model nsf_ar --scale-bound 2
refuses 2 "--batch-norm: is for what stands between layers" fit data.csv --out m.st --model maf --layers 1 --batch-norm
refuses 2 "--mixing: is for what stands between layers" fit data.csv --out m.st --model maf --layers 1 --mixing lu
refuses 2 "--patience: counts epochs without" fit data.csv --out m.st --model maf --validation 0 --patience 3
refuses 2 "low:high" fit data.csv --out m.st --drop id --bounds size=0
refuses 2 "below the upper one" fit data.csv --out m.st --drop id --bounds size=3:1
refuses 2 "no data column 'height'" fit data.csv --out m.st --drop id --bounds height=0:
refuses 2 "gaussian" fit data.csv --out m.st --model gaussian --context x

# ---- data with faults
refuses 1 "none.csv" fit none.csv --out m.st
refuses 1 "data.csv:2" fit data.csv --out m.st
refuses 1 "height" fit data.csv --out m.st --drop id --context height
refuses 1 "height" fit data.csv --out m.st --drop height
printf 'x,y\n1,2\n3\n' >ragged.csv
refuses 1 "ragged.csv:3" fit ragged.csv --out m.st
sed '18s/,[^,]*,/,-1,/;18s/[^,]*,[^,]*$/-0.5,1/' data.csv >negative.csv
refuses 1 "negative.csv:18: column 'size': -0.5" fit negative.csv --out m.st --drop id --bounds size=0:
printf 'x,y\n1,2\n' >short.csv
refuses 1 "choose one with --array" fit "$arrays/savez.npz" --out m.st
refuses 1 "nan" fit "$arrays/nan.npy" --out m.st
refuses 2 "--array" fit data.csv --array x --out m.st
refuses 1 "to train on" fit short.csv --out m.st
refuses 1 "folder 'none'" fit data.csv --drop id --out none/m.st
holds '[ ! -e m.st ]'

# ---- fit, info
run 0 fit data.csv --out m.st $small --drop id --model maf --batch-norm --weights w --bounds size=0:
says out.txt "2,000 rows (1,800 to train, 200 to validate), 3 columns"
says out.txt "mean log-likelihood"
says out.txt "Gaussian, same rows"
says out.txt "wrote m.st"
holds '[ ! -s err.txt ]'
run 0 info m.st
says out.txt "3 columns"
says out.txt "masked_autoregressive"
says out.txt "batch_normalization"
says out.txt "column_supports"
says out.txt "training range"
says out.txt "producer"
run 0 info m.st --json
says out.txt '"name": "size"'
says out.txt '"type": "masked_autoregressive"'
refuses 1 "data.csv" info data.csv
head -c 3000 m.st >cut.st
refuses 1 "cut.st" info cut.st

# Columns that fit badly are named.
awk -F, 'NR > 1 { print $2 "," int($3) ",5" } NR == 1 { print "x,steps,five" }' data.csv >steps.csv
run 0 fit steps.csv --out steps.st $small --model maf
says err.txt "column 'five' holds one value only: its density has no finite maximum; leave it out with --drop 'five'"
says err.txt "column 'steps'"
says err.txt "; --dequantize gives each value the mass of its cell"
# Of columns in other units than they are made for, conditioners see next to nothing.
awk -F, 'NR > 1 { print $2 "," 1000 + 50 * $3 "," 300 * $2 + $3 } NR == 1 { print "x,far,given" }' data.csv >far.csv
run 0 fit far.csv --out far.st $small --model maf --context given --standardize none
says err.txt "column 'far', context column 'given': conditioners see values softly bounded by 5"
says err.txt "--standardize mean_std helps"
run 0 fit far.csv --out far.st $small --model maf --context given
holds '! grep -q conditioners err.txt'

refuses 1 "column 'five' is constant; leave it out with --drop 'five'" fit steps.csv --out g.st --model gaussian

# The same command gives the same model, for any number of threads.
run 0 fit data.csv --out again.st ${small% --threads 2} --drop id --model maf --batch-norm --weights w --bounds size=0: --threads 1
holds 'cmp -s m.st again.st'

# ---- log-prob: by name, in pieces, to files and pipes
run 0 log-prob m.st data.csv --out lp.csv
says out.txt "mean log-likelihood"
says out.txt "rows outside training range   0"
holds '[ "$(wc -l <lp.csv)" -eq 2001 ]'
holds '[ "$(head -1 lp.csv)" = log_prob ]'
run 0 log-prob m.st shuffled.csv --out lp2.csv --threads 1
holds 'cmp -s lp.csv lp2.csv'
run 0 log-prob m.st data.csv --out -
holds 'cmp -s lp.csv out.txt'
says err.txt "mean log-likelihood"
"$tool" log-prob m.st - --out lp3.csv <data.csv >out.txt 2>err.txt
holds 'cmp -s lp.csv lp3.csv'
# (what no extension tells is text)
cp data.csv data.X7
run 0 log-prob m.st data.X7 --out lp4.csv
holds 'cmp -s lp.csv lp4.csv'
run 0 log-prob m.st data.csv --out lp.npy --json
says out.txt '"rows": 2000'
says out.txt '"rows_outside_training_range": 0'
says out.txt '"mean_log_likelihood": '
# (the header and 2000 numbers of eight bytes)
holds '[ "$(wc -c <lp.npy)" -eq 16128 ]'
printf 'x,y,size\n0,0,1\n99,0,1\n0,0,-1\n' >outside.csv
run 0 log-prob m.st outside.csv --out scores.csv
says out.txt "rows outside training range   2"
says out.txt "1 row of density 0"
refuses 1 "outside.csv:3: column 'x': 99 lies outside" log-prob m.st outside.csv --strict --out strict.csv
holds '[ ! -e strict.csv ]'
printf 'x,size\n0,1\n' >missing.csv
refuses 1 "no column \"y\"" log-prob m.st missing.csv
refuses 2 "--json" log-prob m.st data.csv --out - --json

# ---- sample
run 0 sample m.st -n 1000 --seed 1 --out s.csv
holds '[ "$(wc -l <s.csv)" -eq 1001 ]'
holds '[ "$(head -1 s.csv)" = x,y,size ]'
holds 'awk -F, "NR > 1 && \$3 <= 0 { bad = 1 } END { exit bad }" s.csv'
run 0 sample m.st -n 1000 --seed 1 --out s2.csv --threads 1
holds 'cmp -s s.csv s2.csv'
run 0 sample m.st -n 1000 --seed 2 --out s3.csv
holds '! cmp -s s.csv s3.csv'
run 0 sample m.st -n 70000 --seed 1 --out -
holds '[ "$(wc -l <out.txt)" -eq 70001 ]'
head -1001 out.txt >first.csv
holds 'cmp -s s.csv first.csv'
run 0 sample m.st -n 1000 --seed 1 --out s.npy --json
says out.txt '"samples": 1000'
holds '[ "$(wc -c <s.npy)" -eq 24128 ]'
run 0 log-prob m.st s.npy --out from_npy.csv
run 0 log-prob m.st s.csv --out from_csv.csv
holds 'cmp -s from_npy.csv from_csv.csv'
refuses 2 "-n" sample m.st --out s.csv
refuses 2 "--array: goes with --context-file" sample m.st -n 3 --out s.csv --array x
refuses 2 "takes no context" sample m.st -n 3 --out s.csv --context x=1
refuses 1 "cannot" sample m.st -n 3 --out none/s.csv

# ---- a conditional density
run 0 fit data.csv --out c.st $small --model maf --columns y,size --context x --standardize median_iqr
says out.txt "2 columns given x"
run 0 info c.st
says out.txt "1 context column"
run 0 log-prob c.st data.csv --json
says out.txt '"rows_outside_training_range": 0'
refuses 2 "conditional on x" sample c.st -n 5 --out s.csv
refuses 2 "no context column 'z'" sample c.st -n 5 --out s.csv --context z=1
run 0 sample c.st -n 5 --out s.csv --context x=1.5
holds '[ "$(wc -l <s.csv)" -eq 6 ]'
holds '[ "$(head -1 s.csv)" = y,size,x ]'
holds '[ "$(cut -d, -f3 s.csv | sed 1d | sort -u)" = 1.5 ]'
run 0 sample c.st --out s.csv --context-file data.csv
holds '[ "$(wc -l <s.csv)" -eq 2001 ]'
run 0 log-prob c.st s.csv --out scores.csv

# ---- the other models, single precision, JSON
# auto: the table of candidates, the choice and why; few rows in folds; what is of one model is refused
run 0 fit data.csv --out auto.st --drop id --model auto --budget 400 --seed 2 --threads 2
says out.txt "share 400 steps; --budget gives them another number of steps, or a time like 10m"
says out.txt "behind the best"
says out.txt "gaussian"
says out.txt "chosen "
says out.txt "float32"
run 0 info auto.st
says out.txt "budget=400"
run 0 fit data.csv --out auto2.st --drop id --model auto --budget 400 --seed 2 --threads 1 --json
says out.txt '"chosen"'
says out.txt '"behind"'
holds 'cmp auto.st auto2.st'
run 0 fit data.csv --out auto.st --drop id --model auto --budget 2s --context x
awk -F, 'NR == 1 { print "x,y" } NR > 1 { printf "%.9f,%.6f\n", $2, 1e6 + $3 }' data.csv >far.csv
run 0 fit far.csv --out far.st --model auto --budget 200
says out.txt "float64"
# Counts have masses: draws are whole, and other numbers have none. Nobody has to ask for it where models race.
awk -F, 'NR == 1 { print "n,x" } NR > 1 { print int($2 * $2 * 2) "," $3 }' data.csv >counts.csv
run 0 fit counts.csv --out counts.st --budget 300
says out.txt "on grids     'n' (steps of 1); scores are logs of the masses of cells"
run 0 info counts.st
says out.txt "support: integers{0, inf} x real"
run 0 sample counts.st -n 500 --seed 1 --out drawn.csv
holds '! tail -n +2 drawn.csv | cut -d, -f1 | grep -qv "^[0-9]*$"'
printf 'n,x\n1,0.5\n2.5,0.5\n-1,0.5\n' >odd.csv
run 0 log-prob counts.st odd.csv --out scores.csv
says out.txt "-inf (2 rows of density 0;"
says out.txt "odd.csv:3: column 'n': 2.5 is none of the numbers 0 + 1 k that the model knows"
run 0 log-prob counts.st odd.csv --json
says out.txt '"first_row_of_density_zero": "odd.csv:3'
# A grid of quarters was found in rows, and others may lie between its numbers.
awk -F, 'NR == 1 { print "q,x" } NR > 1 { print int($2 * $2 * 8) / 4 "," $3 }' data.csv >quarters.csv
run 0 fit quarters.csv --out quarters.st --model gaussian --dequantize
printf 'q,x\n0.25,0.5\n0.3,0.5\n0.8,0.5\n' >odd.csv
run 0 log-prob quarters.st odd.csv --out scores.csv
says out.txt "rows between numbers          2: they have the mass of a cell around them; the first is odd.csv:3: column 'q': 0.3"
run 0 log-prob quarters.st odd.csv --json
says out.txt '"rows_between_numbers": 2'
run 0 fit counts.csv --out counts.st --budget 300 --no-dequantize
holds '! grep -q "on grids" out.txt'
says err.txt "column 'n'"
for model in gaussian "nsf --epochs 2"; do
  run 0 fit counts.csv --out counts.st --model $model --dequantize --json
  says out.txt '"step": 1.0'
  run 0 info counts.st
  says out.txt "support: integers{0, inf} x real"
done
run 0 fit data.csv --out whole.st --model gaussian --columns x,y --dequantize
says err.txt "warning: --dequantize: no column has values that repeat on a grid"
refuses 2 "--dequantize" fit counts.csv --out counts.st --dequantize --no-dequantize
run 0 fit counts.csv --out counts.st --budget 300 --ensemble 2
run 0 info counts.st
says out.txt "mixture"
refuses 2 "--ensemble: has no effect with --model gaussian" fit data.csv --out m.st --model gaussian --ensemble 2
refuses 2 "--layers: is of one model, and --model auto tries several" fit data.csv --out m.st --model auto --layers 3
refuses 2 "--budget: expected a number of steps, or a time like 90s, 10m or 1h, got '3x'" \
  fit data.csv --out m.st --model auto --budget 3x
for model in iaf real_nvp nice gaussian; do
  settings=$small
  [ $model = gaussian ] && settings="--threads 2"
  run 0 fit data.csv --out $model.st $settings --columns x,y,size --model $model --bounds size=0: --precision float --json
  says out.txt "\"model\": \"$model\""
  says out.txt '"gain_over_gaussian"'
  run 0 log-prob $model.st data.csv --out scores.csv
done
run 0 info iaf.st
says out.txt "float32"
run 0 fit data.csv --out r.st --model maf --layers 2 --epochs 8 --batch 128 --lr 0.005 --threads 2 --drop id --residual --blocks 1 --hidden 16 --activation tanh --mixing lu --act-norm \
  --dropout 0.1 --schedule cosine --weight-decay 0.001 --validation 0 --dequantize
says out.txt "2,000 rows, 4 columns"

# ---- an interrupted run, resumed, ends as one without interruption
long="--drop id,w --layers 3 --hidden 64,64 --epochs 120 --patience 0 --batch 32 --threads 1"
run 0 fit data.csv --out whole.st $long --model maf
"$tool" fit data.csv --out part.st $long --model maf --resume >out.txt 2>err.txt </dev/null &
process=$!
waited=0
while [ ! -e part.st.checkpoint ] && [ $waited -lt 600 ]; do
  sleep 0.1
  waited=$((waited + 1))
done
kill -INT $process
wait $process
status=$?
holds '[ $status -eq 130 ]'
says err.txt "interrupted after"
says err.txt "'part.st' is the best model so far; the same command with --resume continues"
run 0 info part.st --json
says out.txt '"interrupted": "interrupted after'
holds '[ -e part.st.checkpoint ]'
run 0 fit data.csv --out part.st $long --model maf --resume
holds 'cmp -s whole.st part.st'
holds '[ ! -e part.st.checkpoint ]'

# ---- plot: gnuplot belongs to what the tool needs
run 0 plot m.st data.csv --out corner.png
says out.txt "wrote corner.png"
holds '[ "$(head -c 4 corner.png | tail -c 3)" = PNG ]'
holds '[ "$(wc -c <corner.png)" -gt 20000 ]'
run 0 plot m.st data.csv --out one.png --columns size --json
says out.txt '"columns": ['
run 0 plot c.st data.csv --out conditional.png -n 5000
refuses 2 ".png" plot m.st data.csv --out corner.pdf
refuses 2 "no column 'height'" plot m.st data.csv --out corner.png --columns height
refuses 1 "cannot write" plot m.st data.csv --out none/corner.png
absolute=$(command -v "$tool")
checks=$((checks + 1))
PATH=/nowhere "$absolute" plot m.st data.csv --out p.png >out.txt 2>err.txt && fault "plot without gnuplot"
says err.txt "gnuplot-nox"

finish
