#!/bin/sh
# The tool under mpirun: sh tests/mpi/tool.sh path/to/pushforward mpirun [option of mpirun ...]
. "$(dirname "$0")/checks.sh"

awk 'BEGIN {
  srand(3)
  print "x,y,c"
  for (i = 0; i < 1200; i++) { x = rand() + rand() - 1; c = rand(); printf "%.6f,%.6f,%.6f\n", x, x * x + 0.3 * rand() + c, c }
}' >data.csv
flow="fit data.csv --context c --model maf --layers 2 --hidden 16,16 --batch 128 --seed 5 --threads 1"
fit="$flow --epochs 4 --quiet"
long="$flow --shards 4 --epochs 300 --patience 0 --quiet"

# ---- one model file, the same for any number of processes, and one voice
"$tool" $fit --shards 4 --out alone.st
for ranks in 2 4; do
  on $ranks $flow --epochs 4 --shards 4 --out together.st --log log.jsonl
  holds '[ $status -eq 0 ] && [ "$(grep -c "^wrote together.st" out.txt)" -eq 1 ] && [ "$(wc -l <log.jsonl)" -eq 4 ]'
  "$tool" log-prob alone.st data.csv --out alone.csv >scores.txt
  "$tool" log-prob together.st data.csv --out together.csv >scores.txt
  holds 'cmp -s alone.csv together.csv'
  holds '! ls | grep -q checkpoint'
done
on 2 $fit --out two.st
"$tool" $fit --shards 2 --out alone.st
"$tool" log-prob alone.st data.csv --out alone.csv >scores.txt
"$tool" log-prob two.st data.csv --out two.csv >scores.txt
holds 'cmp -s alone.csv two.csv'

# ---- batch normalisation of the whole batch, as one process without shards has it (up to roundings), or of each shard
"$tool" $fit --batch-norm --out whole.st
on 2 $fit --batch-norm --sync-batch-norm --out sync.st
on 2 $fit --batch-norm --out each.st
for model in whole sync each; do
  "$tool" log-prob $model.st data.csv --out $model.csv >scores.txt
done
apart() { paste -d, "$1" "$2" | awk -F, 'NR > 1 { d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d } END { print most }'; }
holds 'awk "BEGIN { exit !($(apart whole.csv sync.csv) < 1e-6 && $(apart whole.csv each.csv) > 1e-3) }"'
on 2 $fit --batch-norm --sync-batch-norm --shards 4 --out no.st
holds '[ $status -ne 0 ] && grep -q "shards must be 2, got 4" err.txt && [ ! -e no.st ]'

# ---- what is wrong is said once, and ends all
on 3 $fit --drop nothing --out no.st
holds '[ $status -ne 0 ] && [ "$(grep -c "pushforward: " err.txt)" -eq 1 ] && grep -q "nothing" err.txt && [ ! -e no.st ]'
on 2 fit data.csv --out no.st
holds '[ $status -ne 0 ] && grep -q "mpirun started 2 of these, which train one flow together: name it with --model" err.txt'
on 4 $fit --shards 6 --out no.st
holds '[ $status -ne 0 ] && grep -q "shards" err.txt && [ ! -e no.st ]'

# ---- a process that is killed: with --resume it goes on, with another number of them too
"$tool" $long --out right.st
"$tool" log-prob right.st data.csv --out right.csv >scores.txt
timeout 300 $launch -n 4 "$tool" $long --resume --out resumed.st >out.txt 2>err.txt </dev/null &
job=$!
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ -s resumed.st.checkpoint ] && break
  sleep 0.2
done
victim=$(victim pushforward "--quiet --resume --out resumed.st")
[ -z "$victim" ] || kill -9 "$victim"
wait $job
status=$?
holds '[ -n "$victim" ] && [ $status -ne 0 ] && [ -s resumed.st.checkpoint ] && [ ! -e resumed.st ]'
on 2 $long --resume --out resumed.st
holds '[ $status -eq 0 ] && [ ! -e resumed.st.checkpoint ]'
"$tool" log-prob resumed.st data.csv --out resumed.csv >scores.txt
holds 'cmp -s right.csv resumed.csv'
finish
