# For the tests of several processes: `check CONDITION`, `on RANKS ARGUMENT...`, in a folder that goes away. They end with
# `finish`.
#   . checks.sh   in a script that is called with a program, mpirun and its options
set -u
program=$1
shift
launch=$*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0
check() {
  checks=$((checks + 1))
  eval "$1" || {
    failures=$((failures + 1))
    echo "FAILED: $1"
    sed 's/^/  /' out err
  }
}
# The program by so many processes; its output lands in out and err.
on() {
  ranks=$1
  shift
  timeout 300 $launch -n "$ranks" "$program" "$@" >out 2>err </dev/null
  status=$?
}
# victim COMMAND TEXT: the last process of that name whose command line has the text
victim() {
  pgrep -f -- "$2" | while read -r p; do
    [ "$(cat /proc/"$p"/comm 2>/dev/null)" = "$1" ] && echo "$p"
  done | tail -n 1
}
finish() {
  echo "$checks checks, $failures failures"
  [ $failures -eq 0 ]
}
