// The pages of the sign-in in Chromium. Reads {launch, folder, site, outside, scene, …} as JSON from stdin, the rest being what the scene
// works on, and prints what it found; the tests judge it (test_pages_in_chromium.py).

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const told = JSON.parse(await readFile("/dev/stdin", "utf-8"));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");
const browser = await chromium.launch(told.launch);

const POLICY = /Content Security Policy/;

/** A page in a browser of its own, with notes of everything that no page of ours may do. */
async function opened(options = {}) {
  const context = await browser.newContext({ locale: "en", ...options });
  const page = await context.newPage();
  const seen = { dialogs: 0, errors: [], blocked: [], requests: [] };
  page.on("dialog", (dialog) => (seen.dialogs++, dialog.dismiss().catch(() => {})));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (message) => (POLICY.test(message.text()) ? seen.blocked : seen.errors).push(message.text()));
  page.on("request", (request) => seen.requests.push(request.url()));
  return { page, seen, close: () => context.close() };
}

/** What hostile text does on each of our pages; and without escaping and policy, where it must do harm for this to prove anything. */
async function attacks() {
  const { page, seen, close } = await opened();
  const ran = () => page.evaluate(() => window.ran ?? 0);
  const shown = [];
  let scripts = 0;
  for (const path of told.attacks) {
    await page.goto(told.site + path);
    scripts += await ran();
    shown.push(...((await page.innerText("body")).match(/(?![\n\t])[\p{Cc}\p{Cf}]/gu) ?? []));
  }
  const ours = { ...seen, pages: told.attacks.length, scripts, hidden: shown.length, foreign: foreign(seen.requests) };
  await close();
  const bare = await opened();
  await bare.page.context().route((url) => url.origin !== told.site, (route) => route.abort());
  await bare.page.addInitScript("window.alert = () => { top.ran = 1; }");
  let harmed = 0;
  for (const path of told.unsafe) {
    await bare.page.goto(told.site + path, { waitUntil: "commit" }).catch(() => {}); // Some lead elsewhere at once.
    harmed += await bare.page.waitForFunction("window.ran", undefined, { timeout: 150 }).then(() => 1, () => 0);
  }
  await bare.close();
  return { ours, harmed };
}

/** What each page asks for, logs, and is found wanting in, in both colour schemes. */
async function looks() {
  const found = {};
  for (const colorScheme of ["light", "dark"]) {
    for (const language of ["en", "zh-CN"]) {
      const { page, seen, close } = await opened({ colorScheme, locale: language, viewport: { width: 320, height: 640 } });
      for (const name of told.pages) {
        await page.goto(`${told.site}/page/${name}`);
        for (const details of await page.$$("details")) await details.evaluate((node) => (node.open = true));
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        await page.evaluate(axe);
        const { violations, incomplete } = await page.evaluate(() => axe.run());
        const faults = [...violations, ...incomplete.filter(({ id }) => id === "color-contrast")].map(
          ({ id, nodes }) => `${id}: ${nodes.map(({ target, any }) => `${target} ${any[0]?.message}`).join("; ")}`,
        );
        found[`${name} ${colorScheme} ${language}`] = { width, paper, faults };
      }
      found[`log ${colorScheme} ${language}`] = { ...seen, requests: seen.requests.length, foreign: foreign(seen.requests) };
      await close();
    }
  }
  return found;
}

/** Pages within frames of another site and of our own. */
async function framed() {
  const { page, close } = await opened();
  const buttons = {};
  for (const origin of [told.outside, told.site]) {
    await page.goto(`${origin}/framing?page=${encodeURIComponent(`${told.site}/page/consent`)}`);
    await page.waitForTimeout(300);
    const frames = page.frames().slice(1);
    const inside = await Promise.all(frames.map((frame) => frame.$$("button, a, input").then((all) => all.length, () => 0)));
    buttons[origin === told.site ? "own" : "foreign"] = { frames: frames.length, buttons: inside.reduce((sum, n) => sum + n, 0) };
  }
  await page.goto(`${told.outside}/framing?page=${encodeURIComponent(`${told.site}/unsafe/0`)}`);
  await page.waitForTimeout(300);
  const inner = page.frames()[1];
  buttons.unprotected = { frames: 1, buttons: (await inner.$$("button")).length };
  await close();
  return buttons;
}

/** The consent page by keyboard alone, in a browser without script. */
async function keyboard() {
  const { page, seen, close } = await opened({ javaScriptEnabled: false });
  await page.goto(`${told.site}/page/consent`);
  const stops = [];
  for (let press = 0; press < 12; press++) {
    await page.keyboard.press("Tab");
    stops.push(
      await page.evaluate(() => {
        const { activeElement: at } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(at);
        return { name: at.labels?.[0]?.innerText || at.innerText, role: at.getAttribute("role") ?? at.localName, outline: `${outlineStyle} ${outlineWidth}` };
      }),
    );
  }
  await page.goto(`${told.site}/page/consent`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space"); // The first switch goes off,
  for (let press = 0; press < 3; press++) await page.keyboard.press("Tab");
  await page.keyboard.press("Space"); // the fourth goes on,
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await Promise.all([page.waitForURL(/\/client/), page.keyboard.press("Enter")]); // and this allows.
  const allowed = page.url();
  await page.goto(`${told.site}/page/consent`);
  await page.keyboard.press("Tab");
  await Promise.all([page.waitForURL(/\/denied/), page.keyboard.press("Enter")]); // On a switch: the form's first button.
  const entered = page.url();
  await close();
  return { stops, allowed, entered, errors: seen.errors };
}

/** Where a submitted form may end, redirect by redirect. */
async function forms() {
  const ends = {};
  for (const name of ["consent", "consent?closed", "consent?v6", "consent?app"]) {
    const { page, seen, close } = await opened();
    await page.goto(`${told.site}/page/${name}`);
    const arrived = page.waitForURL(/\/(client|app)/, { timeout: 3000 }).then(() => true, () => false);
    await page.click("button[value=allow]", { noWaitAfter: true });
    const there = await arrived;
    await page.waitForTimeout(500); // The browser tells a blocked form a moment after it gave up on it.
    ends[name] = { arrived: there, blocked: seen.blocked.filter((text) => text.includes("form-action")).length };
    await close();
  }
  const { page, close } = await opened();
  const answers = [];
  page.on("response", (response) => answers.push([new URL(response.url()).pathname, response.status()]));
  await page.goto(`${told.outside}/attack`);
  await page.click("button");
  ends.attack = answers;
  await close();
  return ends;
}

/** A click beside a switch's name, a double click, and the data's deletion without being sure. */
async function mouse() {
  const { page, close } = await opened({ viewport: { width: 390, height: 800 } });
  await page.goto(`${told.site}/page/consent`);
  await page.click(".choice:nth-of-type(1) p", { force: true }); // What lies over it is the name's label.
  const switched = await page.$$eval("[role=switch]", (all) => all.map((one) => one.checked));
  const sizes = await page.$$eval("[role=switch], button", (all) => all.map((one) => Math.round(one.getBoundingClientRect().height)));
  await page.goto(`${told.site}/page/account`);
  const visible = await page.isVisible("button[value=delete]");
  await page.click("summary");
  await page.click("button[value=delete]");
  const stayed = page.url().endsWith("/page/account");
  await close();
  return { switched, sizes, visible, stayed };
}

/** What people ask of their systems. */
async function preferences() {
  const style = (name) => page.$eval("[role=switch]", (one, name) => getComputedStyle(one)[name], name);
  let { page, close } = await opened({ reducedMotion: "reduce" });
  await page.goto(`${told.site}/page/consent`);
  const still = await style("transitionDuration");
  await close();
  ({ page, close } = await opened({ reducedMotion: "no-preference" }));
  await page.goto(`${told.site}/page/consent`);
  const moving = await style("transitionDuration");
  await close();
  ({ page, close } = await opened({ forcedColors: "active" }));
  await page.goto(`${told.site}/page/consent`);
  const forced = await style("appearance");
  await close();
  return { still, moving, forced };
}

/** How this browser reads addresses. */
async function addresses() {
  const { page, close } = await opened();
  const origins = await page.evaluate((all) => all.map((address) => new URL(address).origin), told.addresses);
  await close();
  return origins;
}

async function pictures() {
  const taken = [];
  for (const [file, name, width, colorScheme, locale] of told.pictures) {
    const { page, close } = await opened({ colorScheme, locale, viewport: { width, height: 400 } });
    await page.goto(`${told.site}/page/${name}`);
    await page.screenshot({ path: `${told.folder}/${file}`, fullPage: true });
    taken.push(file);
    await close();
  }
  return taken;
}

function foreign(requests) {
  return requests.filter((url) => new URL(url).origin !== told.site && !url.startsWith("data:"));
}

const scenes = { attacks, looks, framed, keyboard, forms, mouse, preferences, addresses, pictures };
console.log(JSON.stringify(await scenes[told.scene]()));
await browser.close();
