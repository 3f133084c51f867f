"""The Python SDK as client of lmfast: client.py URL | COMMAND ARGUMENT..."""
import asyncio
import sys

import mcp


async def main():
    where = sys.argv[1]
    if not where.startswith("http"):
        where = mcp.StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with mcp.Client(where) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert {"add", "steps"} <= set(names), names
        result = await client.call_tool("add", {"a": 1, "b": 2})
        assert result.structured_content == {"result": 3}, result
        assert (await client.call_tool("add", {"a": "x"})).is_error
        told = []

        async def progress(*values):
            told.append(values)

        await client.call_tool("steps", {"n": 3}, progress_callback=progress)
        assert len(told) >= 2, told
        assert (await client.read_resource("notes://today")).contents[0].text == "Buy milk."
        assert "Review" in (await client.get_prompt("review", {"code": "x"})).messages[0].content.text
        try:
            await client.call_tool("nope", {})
            raise SystemExit("an unknown tool was called")
        except mcp.MCPError:
            pass
        print(client.protocol_version + ": list_tools call_tool progress is_error read_resource get_prompt")


asyncio.run(main())
