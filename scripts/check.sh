#!/usr/bin/env bash
# The gates a change passes before it is merged. scripts/check.sh [set-up options] [GATE ...]; GATES below lists them.
# All gates run even when one fails; the summary comes last; the exit code is 1 when a gate failed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
source "$LM_ROOT/scripts/test_parts.sh"
source "$LM_ROOT/scripts/checks/gates.sh"

GATES=(format luacheck includes sizes patterns shell generated neon asan tsan fuzz)

run_gate() {
  local gate=$1 log=$LM_ROOT/build/check_$1.log begin=$SECONDS verdict=passed
  # A process of its own: `set -e` would be off inside an `if`.
  bash "$LM_ROOT/scripts/check.sh" --gate "$gate" </dev/null >"$log" 2>&1 || verdict=FAILED
  if [[ $verdict == FAILED ]]; then
    printf '%s\n' "--- $gate ($log)"
    tail -n "${LMFAST_CHECK_LINES:-60}" "$log"
    printf '%s\n' "---"
  fi
  summary+=("$(printf '%-10s %s  (%d s)' "$gate" "$verdict" $((SECONDS - begin)))")
  say "gate ${summary[-1]}"
  [[ $verdict == passed ]] || ((++failures))
}

needs_build() {
  local gate
  for gate in "$@"; do [[ $gate != generated ]] || return 0; done
  return 1
}

main() {
  local gate summary=() failures=0
  if [[ ${1:-} == --gate ]]; then
    cd "$LM_ROOT"
    export_test_environment
    "gate_$2"
    return
  fi
  parse_setup_options "[GATE ...]        (gates: ${GATES[*]}; default: all)" "$@"
  for gate in "${setup_rest[@]}"; do
    [[ " ${GATES[*]} " == *" $gate "* ]] || fail "unknown gate \"$gate\"" "gates: ${GATES[*]}"
  done
  ((${#setup_rest[@]})) || setup_rest=("${GATES[@]}")
  # The sanitizer builds are free of torch, the generated pages come from the release build without it.
  if needs_build "${setup_rest[@]}"; then
    set_up test check -- lmfast
  else
    lock_setup
    ensure_packages build test check
    ((setup_model)) && ensure_model
    unlock_setup
  fi
  ((setup_only)) && exit 0
  for gate in "${setup_rest[@]}"; do run_gate "$gate"; done
  printf '%s\n' "${summary[@]}"
  ((failures == 0))
}

main "$@"
