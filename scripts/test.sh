#!/usr/bin/env bash
# Sets up, builds everything and runs the tests. scripts/test.sh [set-up options] [PART ...]; PARTS below lists the parts.
# The last line is `N passed, N failed, N skipped`; the exit code is 1 when anything failed or broke off.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
source "$LM_ROOT/scripts/test_parts.sh"

PARTS=(cpp lua luajit repl hub serve docs scripts)
passed=0 failed=0 skipped=0

usage() { echo "[PART ...]        (parts: ${PARTS[*]}; default: all)"; }

# add_counts TEXT: adds the last counts line of a part's output; fails when there is none.
add_counts() {
  local line
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$1" | tail -n 1) || return 1
  [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+) ]]
  ((passed += BASH_REMATCH[1])) || true
  ((failed += BASH_REMATCH[2])) || true
  ((skipped += BASH_REMATCH[3])) || true
  ((part_failed = BASH_REMATCH[2])) || true
  counts=$line
}

run_part() {
  local part=$1 log=$LM_BUILD/test_$1.log rc=0 counts part_failed=0 begin=$SECONDS
  "part_$part" </dev/null >"$log" 2>&1 || rc=$?
  if ! add_counts "$log"; then
    counts="broke off without counts (exit code $rc)"
    ((failed += 1))
    part_failed=1
  elif ((rc != 0 && part_failed == 0)); then
    counts+=", but exit code $rc"
    ((failed += 1))
    part_failed=1
  fi
  if ((part_failed)); then
    printf '%s\n' "--- $part ($log)"
    tail -n 200 "$log"
    printf '%s\n' "---"
  else
    grep -iE '^(skip(ped)?[ :]|table: )' "$log" || true
  fi
  printf '%-8s %s  (%d s)\n' "$part" "$counts" $((SECONDS - begin))
}

main() {
  local part
  parse_setup_options "$(usage)" "$@"
  for part in "${setup_rest[@]}"; do
    [[ " ${PARTS[*]} " == *" $part "* ]] || fail "unknown part \"$part\"" "parts: ${PARTS[*]}"
  done
  setup_tests=1
  set_up test -- all
  ((setup_only)) && exit 0
  export_test_environment
  cd "$LM_ROOT"
  ((${#setup_rest[@]})) || setup_rest=("${PARTS[@]}")
  for part in "${setup_rest[@]}"; do run_part "$part"; done
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  ((failed == 0))
}

main "$@"
