#!/bin/sh
# Tables as people have them, through the tool: sh tests/tool_tables_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

gauss="--model gaussian --validation 0"
awk 'BEGIN { srand(7); for (i = 0; i < 60; i++) printf "%.4f %.4f\n", rand() + rand(), 3 * rand() }' >numbers.txt
awk 'BEGIN { print "x,y" } { print $1 "," $2 }' numbers.txt >plain.csv
run 0 fit plain.csv --out plain.st $gauss
holds '! grep -q note err.txt'

# ---- the same numbers in other dialects give the same model; what was guessed is said
same() {
  run 0 fit "$1" --out other.st $gauss ${2:-}
  run 0 log-prob other.st plain.csv --out other.csv
  run 0 log-prob plain.st plain.csv --out own.csv
  holds 'cmp -s own.csv other.csv'
}
awk 'BEGIN { print "x;y;;" } { gsub(/\./, ","); print $1 ";" $2 ";;" }' numbers.txt >excel.csv
same excel.csv
run 0 fit excel.csv --out other.st $gauss
says err.txt "note: excel.csv: numbers have decimal commas"
says err.txt "note: excel.csv: 2 empty columns without a name at the end are left out"
awk 'BEGIN { print ",x,y" } { print NR - 1 "," $1 "," $2 }' numbers.txt >pandas.csv
same pandas.csv
run 0 fit pandas.csv --out other.st $gauss
says err.txt "counts the rows: left out"
(echo "# written by hand"; echo "# x y"; cat numbers.txt) >savetxt.txt
same savetxt.txt
awk 'BEGIN { print "x\ty" } { print $1 "\t" $2 }' numbers.txt >tabs.tsv
same tabs.tsv
same tabs.tsv "--delimiter tab --header yes --decimal . --comment none"
awk 'BEGIN { print "x|y" } { print $1 "|" $2 }' numbers.txt >bars.txt
same bars.txt "--delimiter |"
refuses 2 "--delimiter: expected one character, got '||'" fit bars.txt --out no.st $gauss --delimiter '||'
refuses 2 "--header" fit bars.txt --out no.st $gauss --header perhaps
refuses 2 "--decimal" fit bars.txt --out no.st $gauss --decimal x
run 0 fit numbers.txt --out other.st $gauss --header no
says out.txt "60 rows, 2 columns"

# ---- missing values: refused with what is missing and the way out, or left out and counted
awk -F, 'NR == 5 { $1 = "NA" } NR == 9 { $2 = "" } { print $1 "," $2 }' plain.csv >holes.csv
refuses 1 "holes.csv:5: column 1 (\"x\"): expected a number, got \"NA\"; values are missing: \"x\" in 1 row, \"y\" in 1 row; --missing drop" \
  fit holes.csv --out no.st $gauss
run 0 fit holes.csv --out holes.st $gauss --missing drop
says err.txt "note: holes.csv: 2 rows left out, which miss a value"
says out.txt "58 rows, 2 columns"
run 0 log-prob holes.st holes.csv --out holes-lp.csv
says out.txt "rows that miss a value        2"
holds '[ "$(wc -l <holes-lp.csv)" -eq 61 ]'
holds '[ "$(grep -c nan holes-lp.csv)" -eq 2 ]'
holds '! grep -q "mean log-likelihood *nan" out.txt'
run 0 log-prob holes.st holes.csv --json
says out.txt '"rows_that_miss_a_value": 2'
refuses 2 "--missing" fit holes.csv --out no.st $gauss --missing perhaps
# The same of an array, which is not mapped where rows are left out of it.
run 0 log-prob holes.st holes.csv --out holes.npy
refuses 1 "holes.npy: row 3 (from 0), column 1 (\"c0\")" fit holes.npy --out no.st $gauss
run 0 fit holes.npy --out array.st $gauss --missing drop
says out.txt "58 rows, 1 column"
tail -n +2 holes-lp.csv | grep -v nan | (echo c0; cat) >kept.csv
run 0 fit kept.csv --out text.st $gauss
for model in array text; do run 0 log-prob $model.st kept.csv --out $model-lp.csv; done
holds 'cmp -s array-lp.csv text-lp.csv'

# ---- columns of text are listed together, with what leaves them out
awk -F, 'NR == 1 { print "day,x,y,kind" } NR > 1 { print "Mon," $1 "," $2 ",a" }' plain.csv >mixed.csv
refuses 1 "no numbers: \"day\" in 60 rows, \"kind\" in 60 rows; leave them out with --drop 'day,kind'" \
  fit mixed.csv --out no.st $gauss
same mixed.csv "--drop day,kind"
awk -F, 'NR == 3 { $1 = "oops" } { print $1 "," $2 }' plain.csv >typo.csv
refuses 1 "typo.csv:3: column 1 (\"x\"): expected a number, got \"oops\"; leave it out with --drop 'x'" \
  fit typo.csv --out no.st $gauss

awk -F, 'NR == 4 { print "Tue,," $2 ",b" } NR != 4 { print }' mixed.csv >both.csv
refuses 1 "leave them out with --drop 'day,kind' --missing drop" fit both.csv --out no.st $gauss
run 0 fit both.csv --out both.st $gauss --drop 'day,kind' --missing drop
says out.txt "59 rows, 2 columns"

# ---- numbers with thousands separated: what they look like and the option; nothing is guessed
awk -F, 'NR == 1 { print "x;y" } NR > 1 { printf "1.00%d,5;%s\n", NR % 7, $2 * 10000 }' plain.csv >groups.csv
refuses 1 "got \"1.002,5\", which looks like 1002.5 with thousands separated by \".\"; thousands are separated: \"x\" in 60 rows; --thousands '.' reads them" \
  fit groups.csv --out no.st $gauss
run 0 fit groups.csv --out groups.st $gauss --thousands .
says out.txt "60 rows, 2 columns"
printf 'x\ty\n1,234\t1\n2,345\t2\n' >either.txt
refuses 1 "nothing in the first lines says whether commas are decimal or separate thousands; say --decimal , or --thousands ," \
  fit either.txt --out no.st $gauss

# ---- codes for missing values: told of, and left out by option
awk -F, 'NR % 10 == 5 { $1 = -9999 } { print $1 "," $2 }' plain.csv >codes.csv
run 0 fit codes.csv --out codes.st $gauss
says err.txt "note: codes.csv: column 'x': -9999 in 6 of 60 rows"
says err.txt "a code for a missing value? --missing drop --missing-value -9999 takes it for one"
run 0 fit codes.csv --out codes.st $gauss --missing drop --missing-value -9999
says out.txt "54 rows, 2 columns"
holds '! grep -q "a code for" err.txt'
run 0 log-prob codes.st codes.csv --missing-value -9999 --out codes-lp.csv
holds '[ "$(grep -c nan codes-lp.csv)" -eq 6 ]'
refuses 1 "expected a number, got \"-9999\", which counts as missing; values are missing: \"x\" in 6 rows; --missing drop leaves rows out" \
  fit codes.csv --out no.st $gauss --missing-value -9999
awk -F, 'NR == 1 { $2 = "the '"'y'"'" } NR == 7 { $2 = "x" } { print $1 "," $2 }' plain.csv >quotes.csv
refuses 1 "leave it out with --drop 'the '\''y'\'''" fit quotes.csv --out no.st $gauss

# ---- constant columns: all of them, with the option
awk -F, 'NR == 1 { print "x,five,y,two" } NR > 1 { print $1 ",5," $2 ",-2.5" }' plain.csv >flat.csv
refuses 1 "columns 'five', 'two' are constant; leave them out with --drop 'five,two'" fit flat.csv --out no.st $gauss
run 0 fit flat.csv --out flat.st --model maf --epochs 1 --layers 1 --hidden 4
says err.txt "columns 'five', 'two' hold one value each: a density of them has no finite maximum; leave them out with --drop 'five,two'"
same flat.csv "--drop five,two"

# ---- packed tables: by their first bytes, from standard input too; nothing is written packed
gzip <plain.csv >plain.csv.gz
same plain.csv.gz
cp plain.csv.gz packed.csv
same packed.csv
checks=$((checks + 1))
"$tool" log-prob plain.st - --out piped.csv <plain.csv.gz >out.txt 2>err.txt || fault "gzip from standard input"
run 0 log-prob plain.st plain.csv --out own.csv
holds 'cmp -s own.csv piped.csv'
head -c 100 plain.csv.gz >cut.csv
refuses 1 "cut.csv: the compressed data end too early: the file is not complete" fit cut.csv --out no.st $gauss
refuses 2 "--out: log.csv.gz: nothing is written packed" log-prob plain.st plain.csv --out log.csv.gz
holds '[ ! -e log.csv.gz ]'

finish
