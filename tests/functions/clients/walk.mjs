// A person walks through the whole sign-in in Chromium. Reads {launch, scene, authorize, google, person, allow, callback, account} as JSON from
// stdin and prints what she saw; ChatGPT's callback, which cannot be reached from here, is intercepted (test_walk_in_chromium.py judges it).

import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const told = JSON.parse(await readFile("/dev/stdin", "utf-8"));
const browser = await chromium.launch(told.launch);
const context = await browser.newContext({ locale: "en", viewport: { width: 480, height: 800 } });
const page = await context.newPage();
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));

let answered = null;
const devtools = await context.newCDPSession(page); // Playwright's own routes do not see where a redirect leads.
await devtools.send("Fetch.enable", { patterns: [{ urlPattern: `${told.callback}*` }] });
devtools.on("Fetch.requestPaused", ({ requestId, request }) => {
  answered = request.url;
  const body = Buffer.from('<title>ChatGPT</title><link rel="icon" href="data:,">Connected.').toString("base64");
  return devtools.send("Fetch.fulfillRequest", { requestId, responseCode: 200, body });
});

/** Click, and wait until the browser is elsewhere. */
async function left(thing) {
  const before = page.url();
  await Promise.all([page.waitForURL((url) => url.href !== before), thing.click()]);
}

/** Choose the account at Google and continue, where Google asks. */
async function overGoogle() {
  while (page.url().startsWith(told.google)) {
    const account = page.locator(`a:has-text("${told.person}")`).first();
    const button = page.locator('button[value="allow"]').first();
    await left((await account.count()) ? account : button);
  }
}

/** From the client to its callback, with only some switches on. */
async function connect() {
  await page.goto(told.authorize);
  const consent = await page.innerText("main");
  for (const box of await page.locator('input[name="capability"]').all()) {
    const wanted = told.allow.includes(await box.getAttribute("value"));
    if ((await box.isChecked()) !== wanted) await box.click();
  }
  await left(page.locator('button[value="allow"]'));
  await overGoogle();
  return consent;
}

/** The account page, and what is left of it once the client is removed. */
async function account() {
  await page.goto(told.account);
  await left(page.locator('button:has-text("Google")').first());
  await overGoogle();
  const before = await page.innerText("main");
  await Promise.all([page.waitForNavigation(), page.locator('button[value="remove_client"], form:has(input[value="remove_client"]) button').first().click()]);
  return { before, after: await page.innerText("main") };
}

const seen = await { connect, account }[told.scene]();
await browser.close();
console.log(JSON.stringify({ seen, answered, errors, url: page.url() }));
