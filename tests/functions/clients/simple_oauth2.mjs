// simple-oauth2, which knows no PKCE, as ChatGPT's Actions: it shows its secret in the "header" or the "body", argv[8], and sends bodies as "form"
// or as "json", argv[9]. The server is argv[2], the operation argv[3], called with argv[4]; answers come to argv[5], for the client argv[6] with the
// secret argv[7].

import { AuthorizationCode } from "simple-oauth2";
import { refused, tell, visit } from "./browser.mjs";

const [server, operation, given, callback, id, secret, authorizationMethod, bodyFormat] = process.argv.slice(2);
const client = new AuthorizationCode({
  client: { id, secret },
  auth: { tokenHost: server },
  options: { authorizationMethod, bodyFormat },
});

const call = (token) =>
  fetch(operation, {
    method: "POST",
    headers: { authorization: `Bearer ${token.token.access_token}`, "content-type": "application/json" },
    body: given,
  });

const back = await visit(client.authorizeURL({ redirect_uri: callback, scope: "calendar", state: "state-of-the-client" }));
const tokens = await client.getToken({ code: back.searchParams.get("code"), redirect_uri: callback });
const first = await (await call(tokens)).json();
const refreshed = await tokens.refresh();
const second = await (await call(refreshed)).json();
await refreshed.revokeAll();
const ended = await refused(refreshed.refresh());

tell({
  state: back.searchParams.get("state"),
  tokens: [tokens, refreshed],
  events: [first, second],
  after: (await call(refreshed)).status,
  ended: ended.data.payload.error,
});
