// oauth4webapi, which checks more than any other: from the MCP endpoint at argv[2] to its metadata, its authorization server and a registration,
// through sign-in to an operation at argv[3], called with argv[4], a refresh and a revocation. Answers come to argv[5].

import * as oauth from "oauth4webapi";
import { refused, tell, visit } from "./browser.mjs";

const [resource, operation, given, callback] = process.argv.slice(2);
const loopback = { [oauth.allowInsecureRequests]: true };

const about = await oauth.processResourceDiscoveryResponse(
  new URL(resource),
  await oauth.resourceDiscoveryRequest(new URL(resource), loopback),
);
const issuer = new URL(about.authorization_servers[0]);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...loopback }));
const client = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(
    server,
    { redirect_uris: [callback], client_name: "oauth4webapi", token_endpoint_auth_method: "none" },
    loopback,
  ),
);

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const address = new URL(server.authorization_endpoint);
address.search = new URLSearchParams({
  response_type: "code",
  client_id: client.client_id,
  redirect_uri: callback,
  scope: "calendar",
  state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  resource,
});
const denial = await visit(address, "deny");
const denied = await refused((async () => oauth.validateAuthResponse(server, client, denial, state))());
const back = oauth.validateAuthResponse(server, client, await visit(address), state);

const redeem = async (code) =>
  oauth.processAuthorizationCodeResponse(
    server,
    client,
    await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), code, callback, verifier, {
      additionalParameters: { resource },
      ...loopback,
    }),
  );
const refresh = async (token) =>
  oauth.processRefreshTokenResponse(
    server,
    client,
    await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token, { additionalParameters: { resource }, ...loopback }),
  );
const call = async (token) => {
  const headers = new Headers({ "content-type": "application/json" });
  return (await oauth.protectedResourceRequest(token, "POST", new URL(operation), headers, given, loopback)).json();
};

const tokens = await redeem(back);
const claims = await oauth.validateJwtAccessToken(
  server,
  new Request(resource, { headers: { authorization: `Bearer ${tokens.access_token}` } }),
  resource,
  loopback,
);
const first = await call(tokens.access_token);
const refreshed = await refresh(tokens.refresh_token);
const second = await call(refreshed.access_token);
await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, oauth.None(), refreshed.refresh_token, loopback));
const challenged = await refused(call(refreshed.access_token));
const ended = await refused(refresh(refreshed.refresh_token));

tell({
  server,
  client,
  claims,
  denied: denied.error,
  tokens: [tokens, refreshed],
  events: [first, second],
  challenge: challenged.cause.map(({ scheme, parameters }) => [scheme, parameters]),
  ended: ended.error,
});
