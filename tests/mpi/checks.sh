# For the tests of several processes, besides what tool_checks.sh has: `on RANKS ARGUMENT...`.
#   . checks.sh   in a script that is called with a program, mpirun and its options
. "$(dirname "$0")/../tool_checks.sh"
shift
launch=$*
# The program by so many processes; its output lands in out.txt and err.txt.
on() {
  ranks=$1
  shift
  timeout 300 $launch -n "$ranks" "$tool" "$@" >out.txt 2>err.txt </dev/null
  status=$?
}
# victim COMMAND TEXT: the last process of that name whose command line has the text
victim() {
  pgrep -f -- "$2" | while read -r p; do
    [ "$(cat /proc/"$p"/comm 2>/dev/null)" = "$1" ] && echo "$p"
  done | tail -n 1
}
