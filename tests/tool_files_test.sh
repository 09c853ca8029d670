#!/bin/sh
# The command line tool loses no file: sh tests/tool_files_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

awk 'BEGIN {
  srand(3)
  print "x,y"
  for (i = 0; i < 300; i++) print rand() + rand() "," rand() - rand()
}' >data.csv
small="--layers 1 --hidden 8 --epochs 2 --threads 1"
run 0 fit data.csv --out m.st $small --model maf
run 0 fit data.csv --out c.st $small --model maf --columns y --context x --checkpoint run.ck
cp data.csv data.png
cp m.st m.png
mkdir folder
ln -s ../data.csv folder/link.csv
ln data.csv hard.csv
find . -type f ! -name '*.txt' ! -name before -exec cksum {} + | sort >before

# keeps WHY OPTION OTHER ARGUMENT...: refused, with the names of both
keeps() {
  text="$2 and $3 are the same file, "
  why=$1
  other=$2
  shift 3
  refuses 2 "$text" "$@"
  says err.txt "$why; give $other another name"
}
one="which would be overwritten"
keeps "$one" --out "the data" fit data.csv --out ./data.csv $small --model maf
holds '[ -s data.csv ]'
keeps "$one" --out "the data" fit data.png --out data.png $small --model maf
keeps "$one" --checkpoint "the data" fit data.png --out q.st --checkpoint data.png $small --model maf
keeps "$one" --checkpoint "the data" fit data.png --out q.st --checkpoint "$PWD/folder/../data.png" --resume $small --model maf
keeps "$one" --checkpoint "the data" fit folder/link.csv --out q.st --checkpoint data.csv $small --model maf
keeps "$one" --checkpoint "the data" fit hard.csv --out q.st --checkpoint data.csv $small --model maf
keeps "and one would overwrite the other" --checkpoint --out fit data.csv --out q.st --checkpoint "$PWD/q.st" $small --model maf
keeps "$one" "the checkpoint" "the data" fit run.st.checkpoint --out run.st --resume $small --model maf
cp data.csv run.st.checkpoint
keeps "$one" "the checkpoint" "the data" fit run.st.checkpoint --out run.st --resume $small --model maf
rm run.st.checkpoint
keeps "$one" --out "the model" sample m.st -n 3 --out m.st
keeps "$one" --out --context-file sample c.st --context-file data.csv --out folder/link.csv
keeps "$one" --out "the model" log-prob m.st data.csv --out m.st
keeps "$one" --out "the data" log-prob m.st data.csv --out folder/link.csv
keeps "$one" --out "the model" plot m.png data.csv --out m.png
keeps "$one" --out "the data" plot m.st data.png --out data.png
# A redirection names a file too.
checks=$((checks + 1))
"$tool" log-prob m.st - --out data.csv <data.csv >out.txt 2>err.txt && fault "standard input was overwritten"
says err.txt "--out and the data are the same file, 'data.csv'"

# Without --resume, as with it, only a checkpoint is replaced by a checkpoint.
refuses 2 "--checkpoint: 'm.st' is there and is no checkpoint" fit data.csv --out q.st --checkpoint m.st $small --model maf
refuses 2 "--checkpoint: 'hard.csv' is there and is no checkpoint" fit data.png --out q.st --checkpoint hard.csv $small --model maf
refuses 1 "m.st" fit data.csv --out q.st --checkpoint m.st --resume $small --model maf
holds '[ ! -e q.st ]'
find . -type f ! -name '*.txt' ! -name before -exec cksum {} + | sort | cmp -s - before || fault "a file has changed"
run 0 fit data.csv --out q.st --checkpoint run.ck $small --model maf
run 0 fit data.csv --out q.st $small --model maf

# Devices may be read and written at once.
checks=$((checks + 1))
"$tool" log-prob m.st /dev/stdin --out /dev/stdout <data.csv 2>err.txt | cat >out.txt
holds '[ "$(grep -c "^-*[0-9.e-]*$" out.txt)" -eq 300 ]'

# A name that is empty is no name.
for arguments in "fit --out q.st" "log-prob m.st" "info" "sample -n 3 --out s.csv"; do
  refuses 2 "expected the name of a file, got ''" $arguments ''
done
refuses 2 "--out: expected the name of a file, got ''" log-prob m.st data.csv --out ''

finish
