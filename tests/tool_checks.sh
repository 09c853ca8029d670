# For the tests of the command line tool and of other programs: what they check with, in a folder that goes away. They end with `finish`.
#   . tool_checks.sh   in a script that is called with the path of the program
set -u
tool=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0

fault() {
  failures=$((failures + 1))
  echo "FAILED: $1"
  sed 's/^/  stdout: /' out.txt
  sed 's/^/  stderr: /' err.txt
}
# run STATUS ARGUMENT...: the tool ends with that status; its output lands in out.txt and err.txt
run() {
  expected=$1
  shift
  checks=$((checks + 1))
  "$tool" "$@" >out.txt 2>err.txt </dev/null
  status=$?
  [ "$status" -eq "$expected" ] || fault "status $status instead of $expected: pushforward $*"
}
# run_within MEGABYTES STATUS ARGUMENT...: the same in so much memory. AddressSanitizer reserves more addresses than any
# limit of these allows and has a limit of its own, for what is used, its copies among that.
run_within() {
  megabytes=$1
  shift
  if grep -q __asan_init "$tool"; then
    ASAN_OPTIONS="${ASAN_OPTIONS:-}:hard_rss_limit_mb=$((2 * megabytes))" run "$@"
  else
    before=$(ulimit -S -v)
    ulimit -S -v $((1000 * megabytes))
    run "$@"
    ulimit -S -v "$before"
  fi
}
# says FILE TEXT: the output has the text
says() {
  checks=$((checks + 1))
  grep -qF -- "$2" "$1" || fault "$1 does not say '$2'"
}
# refuses STATUS TEXT ARGUMENT...: ends with that status and one line on standard error with the text, nothing on stdout
refuses() {
  expected=$1
  text=$2
  shift 2
  run "$expected" "$@"
  says err.txt "$text"
  says err.txt "pushforward: "
  checks=$((checks + 1))
  [ "$(wc -l <err.txt)" -eq 1 ] || fault "not one line: pushforward $*"
  [ ! -s out.txt ] || fault "an error wrote to standard output: pushforward $*"
}
holds() {
  checks=$((checks + 1))
  eval "$1" || fault "$1"
}
finish() {
  # Nothing is left beside what was asked for.
  holds '[ -z "$(ls -A | grep -E "partial|tmp|temp")" ]'
  echo "$checks checks, $failures failures"
  exit $((failures > 0))
}
