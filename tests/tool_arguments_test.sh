#!/bin/sh
# What the command line tool makes of its arguments: sh tests/tool_arguments_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

awk 'BEGIN {
  srand(5)
  print "run,x,y,z"
  for (i = 0; i < 300; i++) print i "," rand() + rand() "," rand() - rand() "," rand()
}' >data.csv
small="--layers 1 --hidden 8 --epochs 2 --threads 1"

# ---- lists add up
run 0 fit data.csv --out one.st $small --model maf --drop run,z
for lists in "--drop run --drop z" "--drop=run --drop z,run" "--columns x --columns y"; do
  run 0 fit data.csv --out two.st $small --model maf $lists
  says out.txt ", 2 columns"
  holds 'cmp -s one.st two.st'
done
run 0 fit data.csv --out c.st $small --model maf --drop run --context y --context z
says out.txt "1 column given y, z"
run 0 sample c.st -n 2 --out one.csv --context y=1,z=0.5
run 0 sample c.st -n 2 --out two.csv --context y=1 --context z=0.5 --context y=1
holds 'cmp -s one.csv two.csv'
refuses 2 "--context: 'y' is given two different values" sample c.st -n 2 --out no.csv --context y=1,z=2 --context y=2
run 0 sample one.st -n 2 --out s.csv --context ''
run 0 fit data.csv --out b.st $small --model maf --drop run --bounds x=0:3 --bounds z=0:1 --bounds x=0:3
run 0 info b.st
says out.txt "column_supports"
refuses 2 "--bounds: column 'z' is given two different bounds" \
  fit data.csv --out no.st $small --model maf --drop run --bounds z=0:1 --bounds x=0:3 --bounds z=0:2
run 0 plot b.st data.csv --out p.png --columns x --columns z --json
holds '[ "$(tr -d " \n" <out.txt | grep -c "\"columns\":\[\"x\",\"z\"\]")" -eq 1 ]'

# ---- one value is given once
while read -r option first second; do
  refuses 2 "--$option: takes one value and is given 2 times" \
    fit data.csv --out no.st --drop run --$option $first --$option=$second
done <<END
epochs 1 2
lr 0.1 0.2
model maf nsf
weights z z
hidden 8 8
seed 1 2
checkpoint a b
END
refuses 2 "--out: takes one value and is given 3 times" fit data.csv --out a --out b -o c --drop run
refuses 2 "--out: takes one value" sample one.st -n 2 --out a.csv --out b.csv
refuses 2 "--number: takes one value" sample one.st -n 2 --number 3 --out a.csv
refuses 2 "--out: takes one value" log-prob one.st data.csv --out a.csv --out b.csv
refuses 2 "--seed: takes one value" plot one.st data.csv --out a.png --seed 1 --seed 1
holds '[ ! -e a.csv ] && [ ! -e b.csv ] && [ ! -e no.st ]'
run 0 info one.st --json --json

# ---- whole numbers
seeds="expected a whole number from 0 to 18446744073709551615, got"
for seed in -1 99999999999999999999 18446744073709551616 1.5 0x10 -0.5; do
  refuses 2 "--seed: $seeds '$seed'" fit data.csv --out no.st --drop run --seed=$seed
  refuses 2 "--seed: $seeds '$seed'" sample one.st -n 2 --out no.csv --seed "$seed"
  refuses 2 "--seed: $seeds '$seed'" plot one.st data.csv --out no.png --seed "$seed"
done
run 0 sample one.st -n 2 --out s.csv --seed 18446744073709551615 --json
says out.txt '"seed": 18446744073709551615'
run 0 sample one.st -n 1e3 --out s.csv --seed 010 --json
says out.txt '"samples": 1000'
says out.txt '"seed": 10'
refuses 2 "--number: expected a whole number from 0 to 1000000000000, got '2.5'" sample one.st -n 2.5 --out no.csv
refuses 2 "--number: expected a whole number from 0 to 1000000000000, got '1e13'" sample one.st -n 1e13 --out no.csv
refuses 2 "--layers: expected a whole number from 1 to 1000, got '2.5'" fit data.csv --out no.st --layers 2.5
refuses 2 "--threads: expected a whole number from 1 to 1024, got '0'" log-prob one.st data.csv --threads 0

finish
