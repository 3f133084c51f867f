// The TypeScript SDK, version 1, as client of lmfast: client_v1.mjs http URL | sse URL | stdio COMMAND...
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import assert from 'node:assert';

const [kind, first, ...rest] = process.argv.slice(2);
const transport = kind === 'stdio' ? new StdioClientTransport({ command: first, args: rest })
  : kind === 'sse' ? new SSEClientTransport(new URL(first)) : new StreamableHTTPClientTransport(new URL(first));
const client = new Client({ name: 'peer', version: '1' }, { capabilities: { elicitation: {} } });
await client.connect(transport);
const names = (await client.listTools()).tools.map((tool) => tool.name);
assert(names.includes('add') && names.includes('steps'));
for (let i = 0; i < 3; ++i) {
  const sum = await client.callTool({ name: 'add', arguments: { a: i, b: 2 } });
  assert.equal(sum.structuredContent.result, i + 2);
}
const bad = await client.callTool({ name: 'add', arguments: { a: 'x' } });
assert.equal(bad.isError, true);
let told = 0;
await client.callTool({ name: 'steps', arguments: { n: 3 } }, undefined, { onprogress: () => { ++told; } });
assert(told >= 2);
assert.equal((await client.readResource({ uri: 'notes://today' })).contents[0].text, 'Buy milk.');
assert.match((await client.getPrompt({ name: 'review', arguments: { code: 'x' } })).messages[0].content.text, /Review/);
await client.setLoggingLevel('debug');
await client.subscribeResource({ uri: 'notes://today' });
await client.ping();
await assert.rejects(client.callTool({ name: 'nope' }));
await client.close();
console.log('listTools callTool progress isError readResource getPrompt setLoggingLevel subscribeResource ping');
process.exit(0);
