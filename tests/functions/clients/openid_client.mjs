// openid-client: discovery of the server at argv[2], sign-in, the operation at argv[3], called with argv[4], a refresh and a revocation;
// answers come to argv[5]. With an id and a secret behind that it is the client that the owner named, and authenticates by Basic; else it registers
// itself.

import * as openid from "openid-client";
import { refused, tell, visit } from "./browser.mjs";

const [issuer, operation, given, callback, id, secret] = process.argv.slice(2);
const options = { algorithm: "oauth2", execute: [openid.allowInsecureRequests] };

const config = id
  ? await openid.discovery(new URL(issuer), id, undefined, openid.ClientSecretBasic(secret), options)
  : await openid.dynamicClientRegistration(
      new URL(issuer),
      { redirect_uris: [callback], client_name: "openid-client", token_endpoint_auth_method: "none" },
      openid.None(),
      options,
    );

const verifier = openid.randomPKCECodeVerifier();
const state = openid.randomState();
const address = openid.buildAuthorizationUrl(config, {
  redirect_uri: callback,
  scope: "calendar",
  state,
  code_challenge: await openid.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
const call = async (token) => {
  const headers = new Headers({ "content-type": "application/json" });
  return (await openid.fetchProtectedResource(config, token, new URL(operation), "POST", given, headers)).json();
};

const checks = { pkceCodeVerifier: verifier, expectedState: state };
const denied = await refused(openid.authorizationCodeGrant(config, await visit(address, "deny"), checks));
const tokens = await openid.authorizationCodeGrant(config, await visit(address), checks);
const first = await call(tokens.access_token);
const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token);
const second = await call(refreshed.access_token);
await openid.tokenRevocation(config, refreshed.access_token);
const challenged = await refused(call(refreshed.access_token));
const ended = await refused(openid.refreshTokenGrant(config, refreshed.refresh_token));

tell({
  client: config.clientMetadata().client_id,
  denied: denied.error,
  tokens: [tokens, refreshed],
  events: [first, second],
  challenge: challenged.cause.map(({ scheme, parameters }) => [scheme, parameters]),
  ended: ended.error,
});
