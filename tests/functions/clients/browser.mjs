// The browser of whoever uses a client: the test drives it.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Send the browser to `address`, where the person decides to "allow" or to "deny"; gives the URL at which it comes back to the client. */
export const visit = async (address, decision = "allow") => {
  console.log(JSON.stringify({ visit: String(address), decision }));
  return new URL((await lines.next()).value);
};

/** Tell the test what came of it all. */
export const tell = (what) => {
  console.log(JSON.stringify(what));
  process.stdin.destroy();
};

/** The error that a library makes of a refusal. */
export const refused = async (asking) =>
  asking.then(
    () => {
      throw new Error("It was not refused.");
    },
    (error) => error,
  );
