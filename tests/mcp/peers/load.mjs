// Calls one tool over Streamable HTTP as often as it can: load.mjs URL TOOL CONCURRENCY SECONDS
import http from 'node:http';

const [url, tool, concurrency, seconds] = [new URL(process.argv[2]), process.argv[3], +process.argv[4], +process.argv[5]];
const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency });

function post(body, headers) {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify({ jsonrpc: '2.0', ...body });
    const request = http.request({ host: url.hostname, port: url.port, path: url.pathname, method: 'POST', agent, headers: {
      'content-type': 'application/json', accept: 'application/json, text/event-stream',
      'content-length': Buffer.byteLength(text), ...headers } }, (reply) => {
      let said = '';
      reply.on('data', (chunk) => { said += chunk; });
      reply.on('end', () => resolve([reply.statusCode, said, reply.headers]));
    });
    request.on('error', reject);
    request.end(text);
  });
}

const [, , headers] = await post({ id: 0, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {},
  clientInfo: { name: 'load', version: '1' } } }, {});
const session = { 'mcp-session-id': headers['mcp-session-id'], 'mcp-protocol-version': '2025-06-18' };
await post({ method: 'notifications/initialized' }, session);
const times = [], end = performance.now() + seconds * 1000;
let id = 1;
await Promise.all(Array.from({ length: concurrency }, async () => {
  while (performance.now() < end) {
    const began = performance.now(), a = id % 1000;
    const [status, said] = await post({ id: id++, method: 'tools/call', params: { name: tool, arguments: { a, b: 2 } } }, session);
    if (status !== 200 || !said.includes(String(a + 2))) throw new Error(`${status} ${said}`);
    times.push(performance.now() - began);
  }
}));
times.sort((a, b) => a - b);
const at = (share) => +times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(2);
console.log(JSON.stringify({ calls_per_second: Math.round(times.length / seconds), p50_ms: at(0.5), p99_ms: at(0.99) }));
process.exit(0);
