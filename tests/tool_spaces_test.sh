#!/bin/sh
# Columns that are a point together, and angles, through the tool: sh tests/tool_spaces_test.sh path/to/pushforward
. "$(dirname "$0")/tool_checks.sh"

# Shares, a direction, ordered numbers and an angle that crosses 0, with the columns of each apart from each other.
awk 'BEGIN {
  srand(5)
  print "sand,low,u,x,clay,angle,high,v,silt"
  for (i = 0; i < 400; i++) {
    a = 0.2 + rand(); b = 0.3 + rand(); c = 0.4 + rand(); s = a + b + c
    t = 6.283185307179586 * rand(); l = rand() - rand()
    g = rand() + rand() - 1; if (g < 0) g += 6.283185307179586
    printf "%.17g,%.6f,%.17g,%.6f,%.17g,%.9f,%.6f,%.17g,%.17g\n", a / s, l, cos(t), l + rand(), c / s, g, l + 0.1 + rand(), sin(t), b / s
  }
}' >points.csv
all="--simplex sand,silt,clay --ordered low,high --sphere u,v --bounds angle=circle:0:6.283185307179586"
for model in gaussian maf auto; do
  more="--budget 200"
  [ $model = gaussian ] && more=
  # shellcheck disable=SC2086
  run 0 fit points.csv --out $model.st --model $model $more $all
  run 0 info $model.st
  says out.txt "support: simplex(3) x ordered(2) x sphere(2) x real x circle[0, 6.28319)"
  # By the names of the columns, which stand in another order in the model.
  run 0 log-prob $model.st points.csv --out scores.csv
  says out.txt "rows outside training range   0"
  holds '[ "$(grep -c inf scores.csv)" -eq 0 ] && [ "$(grep -c nan scores.csv)" -eq 0 ]'
  run 0 sample $model.st -n 2000 --seed 1 --out draws.csv
  holds '[ "$(head -n 1 draws.csv)" = "sand,silt,clay,low,high,u,v,x,angle" ]'
  holds "awk -F, 'NR > 1 && (\$1 <= 0 || \$2 <= 0 || \$3 <= 0 || (\$1 + \$2 + \$3 - 1)^2 > 1e-12 || \$4 >= \$5 ||
    (\$6^2 + \$7^2 - 1)^2 > 1e-12 || \$9 < 0 || \$9 > 6.2831853071796) { bad = 1 } END { exit bad }' draws.csv"
  # What was drawn is scored, by reading it again.
  run 0 log-prob $model.st draws.csv --out scores.csv
  holds '[ "$(grep -c inf scores.csv)" -eq 0 ]'
done
run 0 check maf.st points.csv --out report.html
says out.txt "a Gaussian has no density on a surface"

# ---- an angle that lies about its seam is no two heaps: the model says as much of it as of one that does not
awk 'BEGIN {
  srand(9)
  print "over,apart"
  for (i = 0; i < 3000; i++) { g = rand() + rand() + rand() - 1.5; printf "%.9f,%.9f\n", g < 0 ? g + 360 : g, g + 180 }
}' >angles.csv
run 0 fit angles.csv --columns over --out over.st --model maf --budget 300 --bounds over=circle:0:360 --seed 3
run 0 log-prob over.st angles.csv --out over.csv
run 0 fit angles.csv --columns apart --out apart.st --model maf --budget 300 --bounds apart=circle:0:360 --seed 3
run 0 log-prob apart.st angles.csv --out apart.csv
mean() { awk 'NR > 1 { s += $1 } END { print s / (NR - 1) }' "$1"; }
holds "awk 'BEGIN { d = $(mean over.csv) - $(mean apart.csv); exit !(d > -0.02 && d < 0.02) }'"

# ---- what is wrong is said of the columns by their names, with the line
head -n 5 points.csv >few.csv
few="--out no.st --model gaussian"
refuses 1 "few.csv:2: columns 'sand', 'silt', whose sum is 0." fit few.csv $few --simplex sand,silt
says err.txt "lie outside simplex(2); change or remove the row"
refuses 1 "few.csv:2: columns 'high', 'low', where " fit few.csv $few --ordered high,low
refuses 1 "few.csv:2: columns 'u', 'x', whose squares add up to" fit few.csv $few --sphere u,x
awk -F, -v OFS=, 'NR == 4 { $1 = 0; $5 = 1 - $9 } { print }' points.csv >zero.csv
refuses 1 "zero.csv:4: column 'sand': 0 does not lie inside its bounds (0, 1); shares are above 0" \
  fit zero.csv $few --simplex sand,silt,clay
awk -F, -v OFS=, 'NR == 3 { $6 = 361 } { print }' points.csv >turned.csv
refuses 1 "turned.csv:3: column 'angle': 361 lies outside [0, 360]" fit turned.csv $few --bounds angle=circle:0:360
refuses 2 "--simplex: expected at least two columns, a,b, got 'sand'" fit few.csv $few --simplex sand
refuses 2 "--simplex: column 'sand' is named twice" fit few.csv $few --simplex sand,sand
refuses 2 "--ordered: no data column 'lower'; the columns are sand, low" fit few.csv $few --ordered low,lower
refuses 2 "--ordered: column 'silt' belongs to --simplex sand,silt,clay too" \
  fit few.csv $few --simplex sand,silt,clay --ordered silt,low
refuses 2 "--bounds: where column 'clay' lies follows from --simplex sand,silt,clay" \
  fit few.csv $few --simplex sand,silt,clay --bounds clay=0:1
refuses 2 "or column=circle:low:high, got 'angle=circle:0:'" fit few.csv $few --bounds angle=circle:0:
refuses 2 "the lower bound must be below the upper one, got 'angle=circle:3:0'" fit few.csv $few --bounds angle=circle:3:0
finish
