#!/bin/sh
# Models that the tool fits, as C: sh tests/tool_export_test.sh path/to/pushforward
# Looks at CC.
. "$(dirname "$0")/tool_checks.sh"

awk 'BEGIN {
  srand(5)
  print "a,b,c,k"
  for (i = 0; i < 400; i++) {
    a = rand() + rand() - rand()
    k = rand()
    print a "," a * a + rand() * k "," exp(rand() + 0.3 * a) "," k
  }
}' >data.csv
cat >score.c <<'EOC'
#include <stdio.h>
#include "flow.h"
/* The log density of each row of numbers, and draws of uniform numbers that are no random ones. */
int main(void) {
  double row[flow_dim + flow_context_dim], u[flow_noise_dim + 1], y[flow_dim];
  int i, draw, count = 0;
  for (;;) {
    for (i = 0; i < flow_dim + flow_context_dim; ++i)
      if (scanf("%lf%*[,]", &row[i]) < 1) goto drawn;
    ++count;
#ifdef CONTEXT
    printf("%.17g\n", flow_log_prob(row, row + flow_dim));
#else
    printf("%.17g\n", flow_log_prob(row));
#endif
  }
drawn:
  for (draw = 0; draw < 100; ++draw) {
    for (i = 0; i < flow_noise_dim; ++i) u[i] = (draw * (i + 3) % 101 + 0.5) / 102;
#ifdef CONTEXT
    flow_sample(u, row + flow_dim, y);
#else
    flow_sample(u, y);
#endif
    for (i = 0; i < flow_dim; ++i)
      if (y[i] != y[i]) return 1;
  }
  return count == 0;
}
EOC

# agrees WHAT COLUMNS DEFINE: the header of m.st scores the rows as the tool does
agrees() {
  run 0 export m.st --c flow.h
  holds '[ ! -s out.txt ] && [ ! -s err.txt ]'
  holds '${CC:-cc} -std=c99 -Wall -Wextra -pedantic -Werror -O1 '"$3"' score.c -o score -lm 2>err.txt'
  run 0 log-prob m.st data.csv --out scores.csv
  sed 1d data.csv | cut -d, -f"$2" | ./score >own.txt || fault "$1: score has failed"
  sed 1d scores.csv | paste -d, - own.txt | awk -F, -v what="$1" '{
    d = $1 - $2
    s = $1 < 0 ? -$1 : $1
    if ((d < 0 ? -d : d) > 1e-12 * (s > 1 ? s : 1)) { print what ", row " NR ": " $1 " and " $2; bad = 1 }
  } END { exit bad || NR != 400 }' >err.txt
  holds '[ ! -s err.txt ]'
}
for model in maf iaf real_nvp nice nsf nsf_ar; do
  run 0 fit data.csv --out m.st --model $model --columns a,b,c --layers 2 --hidden 8 --epochs 3 --threads 1
  agrees $model 1-3 ""
  run 0 fit data.csv --out m.st --model $model --columns a,b,c --context k --layers 2 --hidden 8 --epochs 3 --threads 1
  agrees "$model given k" 1-4 -DCONTEXT
done
for model in gaussian; do
  run 0 fit data.csv --out m.st --model $model --columns a,b,c --threads 1
  agrees $model 1-3 ""
done
run 0 fit data.csv --out m.st --model maf --columns a,b,c --layers 1 --hidden 8 --epochs 2 --threads 1
run 0 info m.st

run 0 export m.st --c - --name own_1
says out.txt "static inline double own_1_log_prob(const double *y) {"
says out.txt "own_1.h: "
refuses 2 "what to write is missing: --c, --onnx or --onnx-sample" export m.st
refuses 2 "--name: expected letters, digits and underscores, got '1st'" export m.st --c own.h --name 1st
refuses 2 "are the same file, 'x.h', and one would overwrite the other" export m.st --c x.h --onnx x.h
refuses 2 "--c and the model are the same file, 'm.st'" export m.st --c m.st
refuses 1 "nowhere/flow.h: " export m.st --c nowhere/flow.h
refuses 1 "score.c: " export score.c --c own.h
holds '[ ! -e own.h ]'
finish
