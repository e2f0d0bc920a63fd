// The TypeScript SDK, in the line argv[2], signs in at the MCP endpoint argv[3] when a tool, argv[4], called with argv[5], says
// where one can; answers come to argv[6]. It registers itself, or is the document on the web at argv[7].
// The application's part is what the SDK leaves to it: to keep what it is given, and to send the browser off.

import { tell, visit } from "./browser.mjs";

const [revision, url, tool, given, callback, document] = process.argv.slice(2);
const sdk =
  revision === "2025-11-25"
    ? {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
        ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
      }
    : await import("@modelcontextprotocol/client");

class Kept {
  redirectUrl = callback;
  clientMetadata = { redirect_uris: [callback], client_name: `TypeScript SDK ${revision}`, token_endpoint_auth_method: "none" };
  clientMetadataUrl = document;
  visits = 0;
  refreshes = -1;
  state = () => "state-of-the-client";
  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  tokens = () => this.held;
  saveTokens = (tokens) => {
    this.held = tokens;
    this.refreshes += 1;
  };
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  invalidateCredentials = () => void (this.held = undefined);
  redirectToAuthorization = async (address) => {
    this.visits += 1;
    this.address = address;
  };
}

const connected = async (authProvider) => {
  const client = new sdk.Client({ name: "cantilever-tests", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
  const transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider });
  await client.connect(transport);
  return [client, transport];
};
const call = (client) => client.callTool({ name: tool, arguments: JSON.parse(given) });

const [stranger] = await connected();
const { tools } = await stranger.listTools();
const [challenge] = (await call(stranger))._meta["mcp/www_authenticate"];
await stranger.close();

const kept = new Kept();
const { resourceMetadataUrl, scope } = sdk.extractWWWAuthenticateParams(
  new Response(null, { status: 401, headers: { "WWW-Authenticate": challenge } }),
);
const begun = await sdk.auth(kept, { serverUrl: url, resourceMetadataUrl, scope });
const asked = Object.fromEntries(kept.address.searchParams);
const back = (await visit(kept.address)).searchParams;
const [authorizationCode, iss] = [back.get("code"), back.get("iss")];
const ended = await sdk.auth(kept, { serverUrl: url, resourceMetadataUrl, scope, authorizationCode, iss });

const [client] = await connected(kept);
const first = await call(client);
const tokens = kept.held;
kept.held = { ...tokens, access_token: `${tokens.access_token}x` }; // As good as expired: the SDK learns of it by a 401, and refreshes.
const second = await call(client);
const refreshed = kept.held;

const about = await (await fetch(new URL("/.well-known/oauth-authorization-server", url))).json();
const body = new URLSearchParams({ token: refreshed.refresh_token, client_id: kept.client.client_id });
const revoked = await fetch(about.revocation_endpoint, { method: "POST", body });
const after = await call(client).then(
  () => "it was served",
  (error) => error.constructor.name,
);
await client.close();

tell({
  tools: tools.map(({ name }) => name),
  challenge: { resourceMetadataUrl, scope },
  results: [begun, ended],
  asked,
  tokens: [tokens, refreshed],
  events: [first.structuredContent, second.structuredContent],
  revoked: revoked.status,
  after,
  visits: kept.visits,
  refreshes: kept.refreshes,
});
