#!/usr/bin/env bash
# lmfast's MCP against other implementations, as their server and as their client: the official SDKs for TypeScript
# (version 1 and 2) and Python, server-everything, the inspector's command line. Installs them below build/peers with npm
# and pip, or says why it cannot and does nothing.
#   scripts/peers/mcp.sh [LMFAST]      default: build/release/bin/lmfast
# Prints a line for each pair; exit status 1 when one of them failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
lmfast=$(realpath "${1:-build/release/bin/lmfast}")
here=$PWD/tests/mcp/peers
work=${LMFAST_MCP_PEERS:-$PWD/build/peers}

skip() {
  echo "skipped: $1"
  exit 0
}
command -v npm > /dev/null || skip "there is no npm"
command -v python3 > /dev/null || skip "there is no python3"
mkdir -p "$work"
cp "$here"/*.mjs "$here/package.json" "$work/"
if [ ! -d "$work/node_modules/@modelcontextprotocol/inspector" ]; then
  (cd "$work" && npm install --no-audit --no-fund > npm.log 2>&1) || skip "npm cannot install the peers (see $work/npm.log)"
fi
if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv" || skip "python3 makes no environment"
  "$work/venv/bin/pip" install -q mcp==2.3.0 > "$work/pip.log" 2>&1 || skip "pip cannot install mcp (see $work/pip.log)"
fi
node=$work/node_modules/.bin/node
python=$work/venv/bin/python
failed=0

# pair NAME COMMAND...: runs it and prints what it says last.
pair() {
  local name=$1 said
  shift
  if said=$(cd "$work" && timeout 60 "$@" 2> "$work/error.log" < /dev/null); then
    printf 'ok      %-46s %s\n' "$name" "$(tail -n 1 <<< "$said" | tr -d '{}' | cut -c 1-120)"
  else
    printf 'FAILED  %-46s %s\n' "$name" "$(tail -n 1 "$work/error.log" | cut -c 1-120)"
    failed=1
  fi
}

servers=()
# background PORT COMMAND...: starts a server and waits until its port is open.
background() {
  local port=$1
  shift
  "$@" > "$work/server-$port.log" 2>&1 < /dev/null &
  servers+=($!)
  for _ in $(seq 100); do
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && return
    sleep 0.1
  done
}
trap 'for pid in "${servers[@]}"; do kill "$pid" 2> /dev/null; done' EXIT

port=$((20000 + RANDOM % 20000))
background $port "$lmfast" "$here/tools.lua" $port
url=http://127.0.0.1:$port/mcp
stdio=("$lmfast" mcp "$here/tools.lua")

echo "# their clients, our server"
pair "TypeScript SDK 1, stdio" "$node" client_v1.mjs stdio "${stdio[@]}"
pair "TypeScript SDK 1, Streamable HTTP" "$node" client_v1.mjs http "$url"
pair "TypeScript SDK 1, HTTP+SSE" "$node" client_v1.mjs sse "http://127.0.0.1:$port/sse"
pair "TypeScript SDK 2, stdio" "$node" client_v2.mjs stdio "${stdio[@]}"
pair "TypeScript SDK 2, Streamable HTTP" "$node" client_v2.mjs http "$url"
pair "Python SDK, stdio" "$python" "$here/client.py" "${stdio[@]}"
pair "Python SDK, Streamable HTTP" "$python" "$here/client.py" "$url"
inspector=("$node" node_modules/.bin/mcp-inspector --cli)
for era in legacy modern; do
  pair "inspector, $era, tools/list --strict" "${inspector[@]}" "$url" --transport http --protocol-era $era \
    --method tools/list --strict
  pair "inspector, $era, tools/call" "${inspector[@]}" "$url" --transport http --protocol-era $era --method tools/call \
    --tool-name add --tool-arg a=1 b=2
done
pair "inspector, stdio, tools/call" "${inspector[@]}" "${stdio[@]}" --method tools/call --tool-name add --tool-arg a=1 b=2

echo "# our client, their servers"
everything=("$node" "$work/node_modules/.bin/mcp-server-everything")
client=("$lmfast" "$here/client.lua")
pair "server-everything, stdio" "${client[@]}" "${everything[@]}" stdio
background $((port + 1)) env PORT=$((port + 1)) "${everything[@]}" streamableHttp
pair "server-everything, Streamable HTTP" "${client[@]}" "http://127.0.0.1:$((port + 1))/mcp"
background $((port + 2)) env PORT=$((port + 2)) "${everything[@]}" sse
pair "server-everything, HTTP+SSE" "${client[@]}" "http://127.0.0.1:$((port + 2))/sse"
pair "TypeScript SDK 2, stdio" "${client[@]}" "$node" "$work/server_v2.mjs"
pair "Python SDK, stdio" "${client[@]}" "$python" "$here/server.py" stdio
background $((port + 3)) "$python" "$here/server.py" streamable-http $((port + 3))
pair "Python SDK, Streamable HTTP" "${client[@]}" "http://127.0.0.1:$((port + 3))/mcp"
background $((port + 4)) "$python" "$here/server.py" sse $((port + 4))
pair "Python SDK, HTTP+SSE" "${client[@]}" "http://127.0.0.1:$((port + 4))/sse"
exit $failed
