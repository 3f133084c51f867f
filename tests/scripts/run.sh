#!/usr/bin/env bash
# Tests of the scripts: runs every function test_* of tests/scripts/*_test.sh in a subshell with a folder of its own ($T).
# A test fails by a status, skips with `skip REASON`. Usage: tests/scripts/run.sh [WORD ...] (names that contain WORD)
set -uo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)

skip() { echo "$*" >"$T/skipped"; exit 77; }

# same EXPECTED ACTUAL, contains TEXT PART, lacks TEXT PART: end the test when it does not hold.
same() { [[ $1 == "$2" ]] || { printf 'expected: %s\ngot:      %s\n' "$1" "$2"; exit 1; }; }
contains() { [[ $1 == *"$2"* ]] || { printf 'expected a text with: %s\ngot: %s\n' "$2" "$1"; exit 1; }; }
lacks() { [[ $1 != *"$2"* ]] || { printf 'expected a text without: %s\ngot: %s\n' "$2" "$1"; exit 1; }; }

for file in "$HERE"/*_test.sh; do source "$file"; done

wanted() {
  local name=$1 word
  shift
  (($# == 0)) && return
  for word in "$@"; do [[ $name == *"$word"* ]] && return; done
  return 1
}

passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name in $(declare -F | awk '$3 ~ /^test_/ {print $3}'); do
  wanted "$name" "$@" || continue
  T=$scratch/$name
  mkdir "$T"
  (set -e; cd "$T"; "$name") >"$scratch/log" 2>&1
  case $? in
    0) ((++passed)); echo "passed  $name" ;;
    77) ((++skipped)); echo "skipped $name: $(<"$T/skipped")" ;;
    *) ((++failed)); echo "failed  $name"; sed 's/^/        /' "$scratch/log" ;;
  esac
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
