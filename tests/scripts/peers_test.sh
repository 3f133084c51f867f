# Other implementations of MCP, which npm and pip bring: only where LMFAST_TEST_PEERS is set.

# peers SCRIPT: passes when the script does, skips when it says why it cannot.
peers() {
  [[ -n ${LMFAST_TEST_PEERS:-} ]] || skip "LMFAST_TEST_PEERS is not set"
  rc=0
  "$ROOT/scripts/peers/$1" >"$T/said" 2>&1 || rc=$?
  cat "$T/said"
  ! grep -q '^skipped: ' "$T/said" || skip "$(grep '^skipped: ' "$T/said")"
  same 0 $rc
}

test_mcp_conformance() { peers conformance.sh; }

test_mcp_peers() { peers mcp.sh; }
