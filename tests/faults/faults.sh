#!/bin/sh
# Calls to the system and to the allocator fail, one in a run, and those to the system from one on, in fit, load, score
# and sample: an error that is told, never a crash, never a torn file.
#   faults.sh path/to/pushforward path/to/fail_calls.so [most calls of a kind that fail, 40]
set -u
tool=$1 preload=$2 most=${3:-40}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
checks=0 failures=0 json=0

awk 'BEGIN { srand(3); print "a,b"; for (i = 0; i < 3000; i++) { a = rand(); printf "%.9f,%.9f\n", a, a * a + rand() } }' >table.csv
"$tool" fit table.csv --model maf --layers 2 --hidden 8 --epochs 2 --seed 1 --threads 2 --out right.st >/dev/null || exit 1
"$tool" fit table.csv --model maf --layers 2 --hidden 8 --epochs 2 --seed 1 --threads 2 --memory 10K --out right-scratch.st >/dev/null 2>&1
"$tool" log-prob right.st table.csv --out right.csv --threads 2 >/dev/null
"$tool" log-prob right.st table.csv --out right.npy --threads 2 >/dev/null
"$tool" sample right.st -n 500 --seed 1 --out right-draws.csv --threads 2 >/dev/null

fault() {
  failures=$((failures + 1))
  echo "FAILED: $1"
  sed 's/^/  /' out.txt err.txt
}
# with KIND AT AFTER COMMAND...
with() {
  FAIL_KIND=$1 FAIL_AT=$2
  export FAIL_KIND FAIL_AT
  [ "$3" = after ] && export FAIL_AFTER=yes
  shift 3
  rm -f mark
  FAIL_MARK=$work/mark timeout 120 env LD_PRELOAD="$preload" "$@" >out.txt 2>err.txt </dev/null
  status=$?
  unset FAIL_KIND FAIL_AT FAIL_AFTER
}
# walk KIND AFTER OUT RIGHT COMMAND...: where OUT is there it is RIGHT, or what was there before
walk() {
  kind=$1 after=$2 out=$3 right=$4
  shift 4
  # How many calls a run has is found by doubling.
  total=1
  while :; do
    rm -f "$out"
    with "$kind" $total once "$@"
    [ -e mark ] || break
    [ $total -ge 1000000 ] && break
    total=$((total * 2))
  done
  step=$(((total + most - 1) / most))
  [ $step -ge 1 ] || step=1
  at=1 seen=0
  while [ $at -le $total ]; do
    echo old >old
    cp old "$out"
    with "$kind" $at "$after" "$@"
    [ -e mark ] || break
    seen=$((seen + 1)) checks=$((checks + 1))
    what="$kind call $at ($after): $*: status $status"
    case $status in
      0) cmp -s "$out" "$right" || fault "$what, and $out is not whole" ;;
      1 | 2)
        cmp -s "$out" old || cmp -s "$out" "$right" || fault "$what, and $out is torn"
        [ -s err.txt ] || [ "$after" = after ] || [ "$kind" = file ] || fault "$what without a word"
        ;;
      134)
        # Destructors of the JSON library (nlohmann 3.11) take memory: where there is none they end the process, with
        # files as they were.
        if [ "$kind" = memory ] && sed -n 's/.*(+\(0x[0-9a-f]*\)).*/\1/p' mark | head -n 8 | xargs addr2line -Cfe "$tool" |
          grep -q nlohmann && { cmp -s "$out" old || cmp -s "$out" "$right"; }; then
          json=$((json + 1))
        else
          fault "$what"
        fi
        ;;
      *) fault "$what" ;;
    esac
    left=$(find . -name '.pushforward*' -o -name '*.tmp*' | head -n 1)
    [ -z "$left" ] || { fault "$what leaves $left"; rm -f "$left"; }
    at=$((at + step))
  done
  echo "$kind, $after: $* : $seen of at most $total calls"
}

# (Memory fails once at a time: a process that gets none at all any more ends in the destructors of its JSON library.)
for how in "file once" "file after" "memory once"; do
  # shellcheck disable=SC2086
  set -- $how
  kind=$1 after=$2
  walk $kind $after model.st right.st "$tool" fit table.csv --model maf --layers 2 --hidden 8 --epochs 2 --seed 1 --threads 2 --out model.st
  walk $kind $after scratch.st right-scratch.st "$tool" fit table.csv --model maf --layers 2 --hidden 8 --epochs 2 --seed 1 --threads 2 \
    --memory 10K --out scratch.st
  walk $kind $after scores.csv right.csv "$tool" log-prob right.st table.csv --out scores.csv --threads 2
  walk $kind $after scores.npy right.npy "$tool" log-prob right.st table.csv --out scores.npy --threads 2 --resume
  walk $kind $after draws.csv right-draws.csv "$tool" sample right.st -n 500 --seed 1 --out draws.csv --threads 2
  rm -f scores.npy.unfinished
done
echo "$checks calls failed, $json within the JSON library's destructors, $failures faults"
[ $failures -eq 0 ]
