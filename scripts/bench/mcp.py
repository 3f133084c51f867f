"""MCP over HTTP under load, and how long a server takes to start: lmfast beside server-everything, in one run.

    scripts/bench/mcp.py [--lmfast build/release/bin/lmfast] [--peers build/peers] [--seconds 5] [--concurrency 32]

tools/call of `add` in Lua and of server-everything's `get-sum` (scripts/peers/mcp.sh installs it), revision 2025-06-18, by
one driver with kept connections, the servers one after the other, twice. Then the time from starting `lmfast mcp` to the
first answer to tools/list, over stdio, best and median of 20. Prints one JSON line for each.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def wait_for_port(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens at {port}")


def load(node, url, tool, concurrency, seconds):
    words = [node, os.path.join(ROOT, "tests/mcp/peers/load.mjs"), url, tool, str(concurrency), str(seconds)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def start_seconds(lmfast):
    """From fork to the answer to tools/list."""
    began = time.perf_counter()
    p = subprocess.Popen([lmfast, "mcp", os.path.join(ROOT, "tests/mcp/peers/tools.lua")], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    for message in ({"id": 1, "method": "initialize", "params": hello}, {"method": "notifications/initialized"},
                    {"id": 2, "method": "tools/list"}):
        p.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    p.stdin.flush()
    while json.loads(p.stdout.readline()).get("id") != 2:
        pass
    took = time.perf_counter() - began
    p.stdin.close()
    p.wait()
    return took


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--lmfast", default=os.path.join(ROOT, "build/release/bin/lmfast"))
    a.add_argument("--peers", default=os.path.join(ROOT, "build/peers"))
    a.add_argument("--seconds", type=float, default=5)
    a.add_argument("--concurrency", type=int, default=32)
    a.add_argument("--port", type=int, default=18930)
    o = a.parse_args()
    node = os.path.join(o.peers, "node_modules/.bin/node")
    everything = os.path.join(o.peers, "node_modules/.bin/mcp-server-everything")
    servers = {
        "lmfast": ([o.lmfast, os.path.join(ROOT, "tests/mcp/peers/tools.lua"), str(o.port)], o.port, "add", {}),
        "server-everything": ([node, everything, "streamableHttp"], o.port + 1, "get-sum", {"PORT": str(o.port + 1)}),
    }
    best = {}
    for turn in range(2):
        for name, (words, port, tool, env) in servers.items():
            p = subprocess.Popen(words, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_for_port(port)
                load(node, f"http://127.0.0.1:{port}/mcp", tool, o.concurrency, 1)  # warm
                r = load(node, f"http://127.0.0.1:{port}/mcp", tool, o.concurrency, o.seconds)
            finally:
                p.kill()
                p.wait()
            print(json.dumps({"server": name, "turn": turn, **r}), flush=True)
            if name not in best or r["calls_per_second"] > best[name]["calls_per_second"]:
                best[name] = r
    ours, theirs = best["lmfast"], best["server-everything"]
    print(json.dumps({"throughput_ratio": round(ours["calls_per_second"] / theirs["calls_per_second"], 2),
                      "p99_ratio": round(ours["p99_ms"] / theirs["p99_ms"], 3)}))
    times = [start_seconds(o.lmfast) * 1000 for _ in range(20)]
    print(json.dumps({"start_to_tools_list_ms": {"best": round(min(times), 1), "median": round(statistics.median(times), 1)}}))


main()
