// The TypeScript SDK, in both of its lines: connect to the MCP endpoint at argv[3] by the revision argv[2], read what it offers, and make the
// calls of argv[4], a JSON list of [tool's name, arguments]. Prints as JSON what the SDK made of the answers; it compares each result with the
// tool's output schema by itself, and throws where they differ.

import { Client as Client2025 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Transport2025 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client as Client2026, StreamableHTTPClientTransport as Transport2026 } from "@modelcontextprotocol/client";

const [revision, url, calls] = process.argv.slice(2);
const about = { name: "cantilever-tests", version: "1.0.0" };

let client, transport;
if (revision === "2025-11-25") {
  client = new Client2025(about);
  transport = new Transport2025(new URL(url));
} else {
  client = new Client2026(about, { versionNegotiation: { mode: revision === "auto" ? revision : { pin: revision } } });
  transport = new Transport2026(new URL(url));
}
await client.connect(transport);
const { tools } = await client.listTools();

const results = [];
for (const [name, given] of JSON.parse(calls)) {
  results.push(await client.callTool({ name, arguments: given }));
}

console.log(
  JSON.stringify({
    revision: transport.protocolVersion ?? client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    tools,
    resources: (await client.listResources()).resources,
    prompts: (await client.listPrompts()).prompts,
    results,
  }),
);
await client.close();
