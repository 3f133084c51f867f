#!/usr/bin/env bash
# The official MCP conformance suite against lmfast, as server and as client, for both revisions that it has requirements
# of. Installs the suite below build/conformance with npm, or says why it cannot and does nothing.
#   scripts/peers/conformance.sh [LMFAST]      default: build/release/bin/lmfast
# Prints a line for each run; the suite's own output is beside it. Exit status 1 when a scored scenario failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
lmfast=$(realpath "${1:-build/release/bin/lmfast}")
root=$PWD
work=${LMFAST_MCP_CONFORMANCE:-$PWD/build/conformance}

skip() {
  echo "skipped: $1"
  exit 0
}
command -v npm > /dev/null || skip "there is no npm"
mkdir -p "$work"
if [ ! -x "$work/node_modules/.bin/conformance" ]; then
  (cd "$work" && npm install --no-audit --no-fund @modelcontextprotocol/conformance@0.2.0-alpha.12 node@22 > npm.log 2>&1) ||
    skip "npm cannot install the suite (see $work/npm.log)"
fi
export PATH=$work/node_modules/.bin:$PATH
failed=0

# suite NAME ARGUMENT...: one run.
suite() {
  local name=$1 log=$work/${1// /-}.log
  shift
  if timeout 300 conformance "$@" -o "$work/results" > "$log" 2>&1; then printf 'ok      '; else printf 'FAILED  '; failed=1; fi
  printf '%-20s %s; %s\n' "$name" "$(grep -E '^Total:' "$log" | tail -n 1)" "$(grep -E '^Not scored' "$log" | tail -n 1)"
}

port=$((20000 + RANDOM % 20000))
"$lmfast" tests/mcp/conformance_server.lua --port $port > "$work/server.log" 2>&1 < /dev/null &
server=$!
trap 'kill $server 2> /dev/null' EXIT
for _ in $(seq 100); do
  (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break
  sleep 0.1
done
for revision in 2025-11-25 2026-07-28; do
  suite "server $revision" server --url "http://127.0.0.1:$port/mcp" --requirements $revision
  suite "client $revision" client --requirements $revision --command "$lmfast $root/tests/mcp/conformance_client.lua"
done
exit $failed
