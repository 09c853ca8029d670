#!/bin/sh
# The command `check`: its verdict, and its page as text: sh tests/tool_check_test.sh path/to/pushforward
# (tests/page_check.py looks at the page in a browser.)
. "$(dirname "$0")/tool_checks.sh"

# ---- rows of a known law: normal, with a correlation
rows() {  # rows SEED N SCALE
  awk -v seed="$1" -v n="$2" -v scale="$3" 'BEGIN {
    srand(seed); pi = atan2(0, -1)
    print "x,y,z"
    for (i = 0; i < n; i++) {
      r = sqrt(-2 * log(1 - rand())); a = 2 * pi * rand()
      s = sqrt(-2 * log(1 - rand())) * cos(2 * pi * rand())
      u = r * cos(a)
      printf "%.9g,%.9g,%.9g\n", 3 + u, scale * (0.8 * u + 0.6 * r * sin(a)), 10 * s
    }
  }'
}
rows 1 4000 1 >train.csv
rows 2 1500 1 >test.csv
rows 3 1500 1.3 >wide.csv
run 0 fit train.csv --out model.st --model gaussian --threads 1

run 0 check model.st test.csv --out page.html
says out.txt "Nothing speaks against the model: none of 7 groups of tests of 1500 rows finds a difference"
says out.txt "rows                  1,500"
says out.txt "tested                all, with 99 draws for each"
says out.txt "(each fifth of the rows scored by the Gaussian of the others)"
says out.txt "wrote page.html"
mean=$(awk '$1 == "mean" { print $3 }' out.txt)
run 0 log-prob model.st test.csv --out scores.csv
says out.txt "$mean"

# The page is whole, and asks for nothing.
holds '[ "$(head -c 15 page.html)" = "<!DOCTYPE html>" ]'
holds '[ "$(tail -n 1 page.html)" = "</body></html>" ]'
holds '! grep -qiE "https?:|<script|<img|src=|@import|url\([^#]" page.html'
holds '! grep -qE "[^a-z](nan|inf)[^a-z]" page.html'
says page.html "Does model.st describe test.csv?"
says page.html "Passed."
says page.html "Model files do not hold the losses of the training"
for part in Scores "Learning curves" "Rows and draws" "Ranks of the columns" "Latent values" \
  "Densities of rows among those of draws" "Coverage of regions of highest density" "Pairs of columns" \
  "Classifiers that tell rows from draws (C2ST)" "Worst rows"; do
  says page.html "<h2>$part</h2>"
done
# 6 panels of pairs, 3 of ranks, 3 latent ones, radius, densities, coverage; each with a description
holds '[ "$(grep -o "<svg [^>]*role=" page.html | wc -l)" -eq 15 ]'
holds '[ "$(grep -o "role=\"img\" aria-label=\"[^\"]" page.html | wc -l)" -eq 15 ]'
holds '[ "$(grep -o "<svg" page.html | wc -l)" -eq "$(grep -o "</svg>" page.html | wc -l)" ]'

# ---- the same page for any number of threads, another one for another seed; on standard output too
run 0 check model.st test.csv --out one.html --threads 1
run 0 check model.st test.csv --out three.html --threads 3
holds 'cmp -s one.html three.html && cmp -s one.html page.html'
run 0 check model.st test.csv --out other.html --seed 1
holds '! cmp -s one.html other.html'
run 0 check model.st test.csv --out -
holds 'cmp -s out.txt page.html'
says err.txt "Nothing speaks against the model"
refuses 2 "standard output is taken by --out -" check model.st test.csv --out - --json

# ---- a wrong model
run 0 check model.st wide.csv --out wide.html
says out.txt "The rows are not what the model draws"
says out.txt "column 'y': its values are spread wider than the model's"
says wide.html "Failed."
says wide.html "✗ differs"
run 1 check model.st wide.csv --out strict.html --strict
says err.txt "The rows are not what the model draws"
holds '[ "$(tail -n 1 strict.html)" = "</body></html>" ]'
run 0 check model.st wide.csv --json
says out.txt '"passed": false'
says out.txt '"latent_radius"'
says out.txt '"two_sample"'

# ---- worst rows by their lines, rows that miss a value
sed -e '42s/.*/30,1,0/' -e '43s/.*/,1,0/' test.csv >far.csv
run 0 check model.st far.csv --out far.html
says out.txt "worst rows   line 42 (-"
says out.txt "(1 more miss a value)"
says far.html "1 row that miss a value are left out"
says far.html "<td>line 42</td>"

# ---- fewer rows tested, other columns shown, the Gaussian of the training rows
run 0 check model.st train.csv --rows 300 --samples 19 --columns z,x --train test.csv --out part.html
says out.txt "tested                300, with 19 draws for each"
says out.txt "(fitted to 1500 other rows)"
says part.html "2 of 3 columns: z, x."
refuses 2 "--columns: the model has no column 'w'; it has x, y, z" check model.st test.csv --columns w
refuses 2 "expected a number between 0 and 1, got '1'" check model.st test.csv --level 1

# ---- learning curves
printf '{"epoch":%s,"train_loss":%s,"validation_loss":%s}\n' 1 3.5 3.75 2 3.25 null >run.jsonl
run 0 check model.st test.csv --log run.jsonl --out curve.html
says curve.html "Loss of training and validation by epoch"
holds '! grep -q "Of the candidate" curve.html'
printf '{"candidate":"%s","stage":1,"epoch":%s,"train_loss":%s,"validation_loss":%s}\n' \
  maf 1 3.5 3.75 'nsf <b>' 1 3.6 3.25 maf 2 3 3.5 >race.jsonl
run 0 check model.st test.csv --log race.jsonl --out curve.html
says curve.html "Of the candidate 'nsf &lt;b&gt;'."
printf '{"candidate":"maf","stage":"last","epoch":1,"train_loss":3,"validation_loss":null}\n' >>race.jsonl
run 0 check model.st test.csv --log race.jsonl --out curve.html
says curve.html "Of the candidate 'maf'."
printf 'epoch 1\n' >bad.jsonl
refuses 1 "bad.jsonl:1: expected a JSON object" check model.st test.csv --log bad.jsonl
printf '{"a":1}\n' >none.jsonl
refuses 1 "none.jsonl: no line has a train_loss" check model.st test.csv --log none.jsonl

# ---- one column; a context; counts; names that mean something in HTML
run 0 fit train.csv --out one.st --model gaussian --columns x
run 0 check one.st test.csv --out one.html
holds '! grep -q "Pairs of columns" one.html'
run 0 fit train.csv --out given.st --model maf --columns y,z --context x --layers 1 --hidden 8 --epochs 3 --threads 1
run 0 check given.st test.csv --out given.html
says given.html "Latent values"
(echo 'a<b,"q&""r"""' && tail -n +2 train.csv | awk -F, '{ print int(2 * $1) / 2 "," $2 }') >odd.csv
run 0 fit odd.csv --out odd.st --model gaussian --dequantize
run 0 check odd.st odd.csv --out odd.html
says out.txt "no latent values: rows do not determine latent values"
says odd.html "a&lt;b"
says odd.html "q&amp;&quot;r&quot;"
holds '! grep -q "a<b" odd.html'
says odd.html "the size of a cell"

# ---- nothing is lost
cp page.html keep.html
head -n 6 test.csv >five.csv
refuses 1 "expected at least 20 rows, got 5" check model.st five.csv --out keep.html
holds 'cmp -s keep.html page.html'
refuses 2 "--out and the data are the same file" check model.st test.csv --out test.csv
refuses 2 "--out and the model are the same file" check model.st test.csv --out ./model.st
refuses 1 "no/such/page.html" check model.st test.csv --out no/such/page.html
[ ! -w /dev/full ] || refuses 1 "/dev/full" check model.st test.csv --out /dev/full

finish
