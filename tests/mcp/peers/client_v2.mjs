// The TypeScript SDK, version 2, as client of lmfast: client_v2.mjs http URL | stdio COMMAND...
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import assert from 'node:assert';

const [kind, first, ...rest] = process.argv.slice(2);
const transport = kind === 'stdio' ? new StdioClientTransport({ command: first, args: rest })
  : new StreamableHTTPClientTransport(new URL(first));
const client = new Client({ name: 'peer', version: '1' }, { versionNegotiation: { mode: 'auto' } });
await client.connect(transport);
assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28');
const names = (await client.listTools()).tools.map((tool) => tool.name);
assert(names.includes('add') && names.includes('steps'));
const sum = await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
assert.equal(sum.structuredContent.result, 3);
assert.equal((await client.callTool({ name: 'add', arguments: { a: 'x' } })).isError, true);
assert.equal((await client.readResource({ uri: 'notes://today' })).contents[0].text, 'Buy milk.');
assert.match((await client.getPrompt({ name: 'review', arguments: { code: 'x' } })).messages[0].content.text, /Review/);
await assert.rejects(client.callTool({ name: 'nope' }));
await client.close();
console.log('2026-07-28: listTools callTool isError readResource getPrompt');
process.exit(0);
