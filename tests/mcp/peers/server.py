"""A server of the Python SDK: server.py stdio | sse PORT | streamable-http PORT."""
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("python", log_level="ERROR")


@server.tool()
def echo(message: str) -> str:
    """Says it again."""
    return "Echo: " + message


@server.resource("notes://today")
def notes() -> str:
    return "Buy milk."


server.run(sys.argv[1], **({"port": int(sys.argv[2])} if len(sys.argv) > 2 else {}))
