#!/bin/sh
# How the command line tool speaks with people: sh tests/tool_manners_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

awk 'BEGIN {
  srand(6)
  print "x,y,z"
  for (i = 0; i < 400; i++) print rand() + rand() "," rand() - rand() "," rand()
}' >data.csv
small="--layers 1 --hidden 8 --threads 1"

# ---- a word that nobody knows is what is named, whatever else follows from it
refuses 2 "unknown command 'fti' (did you mean 'fit'?); expected fit, sample" fti data.csv
refuses 2 "unknown command 'zzzzzz'; expected fit, sample" zzzzzz
refuses 2 "a command is missing; expected fit, sample"
refuses 2 "unknown option '--verison' (did you mean '--version'?)" --verison
refuses 2 "unknown option '--lyers' (did you mean '--layers'?)" fit data.csv --lyers 3
refuses 2 "unknown option '--lyers' (did you mean '--layers'?)" fit --lyers=3 data.csv --lr none --out no.st
refuses 2 "unknown option '--quite'" sample m.st --quite
refuses 2 "'fit' takes no further word 'extra'" fit data.csv extra --lr -1
refuses 2 "got 'mfa' (did you mean 'maf'?)" fit data.csv --out no.st --model mfa
refuses 2 "--mixing: expected none, reverse, permutation or lu, got 'all'; see" fit data.csv --out no.st --mixing all
refuses 2 "--lr: expected a number above 0, got '-1'" fit data.csv --out no.st --lr -1
refuses 2 "--lr: expected a value" fit data.csv --out no.st --lr
refuses 2 "--dropout: expected a number from 0 to 0.99, got '1'" fit data.csv --out no.st --dropout 1
holds '[ ! -e no.st ]'

# ---- options in a file; the command line has precedence
cat >run.toml <<END
# of the command that runs
model = "maf"
layers = 2
hidden = "8,8"
drop = ["x", "y"]
act-norm = true
epochs = 3
[sample]
number = 2
END
run 0 fit data.csv --out file.st --config run.toml --epochs 2 --threads 1
says out.txt "2 epochs in"
says out.txt ", 1 column"
run 0 fit data.csv --out line.st --model maf --layers 2 --hidden 8,8 --drop x,y --act-norm --epochs 2 --threads 1
holds 'cmp -s file.st line.st'
printf '[sample]\nnumber = 2\nseed = 4\n' >sample.toml
run 0 sample line.st --config sample.toml
holds '[ "$(wc -l <out.txt)" -eq 3 ]'
cp out.txt two.csv
run 0 --config sample.toml sample line.st
holds 'cmp -s two.csv out.txt'
printf 'data = "data.csv"\nout = "named.st"\nmodel = "gaussian"\n' >all.toml
run 0 fit --config all.toml
says out.txt "wrote named.st"
printf 'lyers = 3\n' >wrong.toml
refuses 2 "--config: 'fit' has no option 'lyers' (did you mean 'layers'?)" fit data.csv --out no.st --config wrong.toml
printf 'lr = -3\n' >wrong.toml
refuses 2 "--lr: expected a number above 0, got '-3'" fit data.csv --out no.st --config wrong.toml
cp run.toml kept.toml
refuses 2 "--out" fit data.csv --config run.toml --out run.toml
refuses 2 "--log" fit data.csv --config run.toml --out no.st --log ./run.toml
holds 'cmp -s run.toml kept.toml'
refuses 2 "nowhere.toml" fit data.csv --out no.st --config nowhere.toml

# ---- to standard output, unless there is a file for it
run 0 sample line.st -n 3 --seed 1
cp out.txt drawn.csv
run 0 sample line.st -n 3 --seed 1 --out s.csv
holds 'cmp -s drawn.csv s.csv'
run 0 log-prob line.st data.csv
holds '[ "$(wc -l <out.txt)" -eq 401 ]'
says err.txt "mean log-likelihood"
run 0 log-prob line.st data.csv --json
says out.txt '"rows": 400'
"$tool" sample line.st -n 50 2>err.txt | "$tool" log-prob line.st - >piped.txt 2>>err.txt
holds '[ "$(wc -l <piped.txt)" -eq 51 ]'
refuses 2 "--json: standard output is taken" sample line.st -n 3 --json

# ---- quiet, and a line for each epoch
run 0 fit data.csv --out quiet.st $small --model maf --epochs 3 --quiet --log log.jsonl
holds '[ ! -s out.txt ]'
run 0 fit data.csv --out loud.st $small --model maf --epochs 3
holds 'cmp -s quiet.st loud.st'
holds '[ "$(wc -l <log.jsonl)" -eq 3 ]'
holds '[ "$(grep -c "^{\"epoch\":[123],\"epochs\":3,.*\"validation_loss\":[-0-9.e]*,\"learning_rate\":0.001}$" log.jsonl)" -eq 3 ]'
run 0 fit data.csv --out auto.st --budget 60 --threads 1 --log auto.jsonl --quiet
holds 'grep -q "^{\"candidate\":\"maf\",\"stage\":1,\"stages\":[0-9],\"epoch\":1," auto.jsonl'
holds 'tail -1 auto.jsonl | grep -q "\"stage\":\"last\""'
refuses 2 "--log and the data are the same file" fit data.csv --out no.st --model maf --log data.csv
refuses 2 "--json excludes --quiet" fit data.csv --out no.st --quiet --json
refuses 1 "--log: cannot write to 'nowhere/log'" fit data.csv --out no.st --model maf --log nowhere/log

# ---- folds
run 0 fit data.csv --out folds.st --budget 60 --threads 1 --folds 3
says out.txt "each of 3 fits had not seen"
run 0 fit data.csv --out folds.st $small --model maf --budget 60 --folds 3
says out.txt "maf describes the rows that each of 3 fits had not seen best"
says out.txt "all rows"
run 0 info folds.st
says out.txt "maf budget=60 folds=3 layers=1"
run 0 fit data.csv --out folds.st --model gaussian --folds 3
says out.txt "gaussian describes the rows that each of 3 fits"
run 0 fit data.csv --out budget.st $small --model maf --budget 60 --ensemble 2 --base logistic --json
holds 'grep -q "\"chosen\": \"maf\"" out.txt'
run 0 info budget.st
says out.txt "mixture"
says out.txt "logistic"
refuses 2 "--epochs: follows from the rows and the steps" fit data.csv --out no.st --model maf --folds 3 --epochs 5
refuses 2 "--budget: has no effect with --model gaussian" fit data.csv --out no.st --model gaussian --budget 100

# ---- the base of a flow
run 0 fit data.csv --out t.st $small --model maf --epochs 2 --base student_t
run 0 info t.st
says out.txt "student_t"
run 0 fit data.csv --out t.st --budget 60 --threads 1 --base student_t
refuses 2 "--base: of auto's flows is normal or student_t" fit data.csv --out no.st --base logistic
refuses 2 "--base: has no effect with --model gaussian" fit data.csv --out no.st --model gaussian --base normal

# ---- the page of the manual and the completion have every option of every command
"$tool" --help | awk '/^Subcommands/ { on = 1; next } on && /^  [a-z]/ { print $1 }' >commands.txt
holds '[ "$(wc -l <commands.txt)" -ge 6 ]'
run 0 completion
cp out.txt completion.bash
run 0 man
cp out.txt page.1
holds '! grep -n "^\.[^A-Zb]" page.1'
while read -r command; do
  "$tool" "$command" --help >help.txt
  holds 'grep -q "^\.SH $(echo $command | sed "s/-/../")$" page.1'
  for option in $(grep -oE '^ +(-[a-zA-Z],)?--[a-z-]+' help.txt | sed 's/.*--//'); do
    holds "grep -q -- \"\$(echo --$option | sed 's/-/.-/g')\" page.1"
    holds "COMP_LINE= bash -c '. ./completion.bash; COMP_WORDS=(pushforward $command --$option); COMP_CWORD=2; _pushforward
      printf \"%s\\n\" \"\${COMPREPLY[@]}\"' | grep -qx -- --$option"
  done
done <commands.txt
complete() {
  bash -c '. ./completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pushforward; echo "${COMPREPLY[@]}"' - "$@"
}
holds '[ "$(complete pushforward fit data.csv --model n)" = "nice nsf nsf_ar naf" ]'
holds '[ "$(complete pushforward sam)" = sample ]'
holds '[ "$(complete pushforward fit dat)" = data.csv ]'

finish
