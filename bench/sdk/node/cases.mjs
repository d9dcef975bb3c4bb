// Runs the named cases of one SDK and counts them. A program takes the base URL and the key from
// AEGIS_TEST_BASE and AEGIS_TEST_KEY and gives the SDK nothing else: that a base URL and a key are
// enough is what these programs show.

import { deepStrictEqual } from "node:assert";

// What the mock provider answers: its rule is a token for each word (bench/mock/README.md).
export const QUESTION = "say hi";
export const ANSWER = "You said: say hi";
export const INPUT_TOKENS = 2;
export const OUTPUT_TOKENS = 4;

export const BEHAVIOR = "x-mock-behavior";

const cases = [];

/** The base URL of one provider. */
export function base(prefix) {
  return needed("AEGIS_TEST_BASE").replace(/\/+$/, "") + prefix;
}

/** The key a user would give to the SDK. */
export function key() {
  return needed("AEGIS_TEST_KEY");
}

function needed(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set; set it to the router's base URL or key`);
    process.exit(2);
  }
  return value;
}

/** Adds a case. */
export function test(name, body) {
  cases.push({ name, body });
}

/** Fails the case when two values differ. */
export function equal(have, want) {
  deepStrictEqual(have, want);
}

/** Gives the error that `call` throws; fails the case when it throws none. */
export async function raises(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, found none");
}

/** All items of an asynchronous sequence. */
export async function collect(sequence) {
  const items = [];
  for await (const item of sequence) items.push(item);
  return items;
}

/** Runs all cases and leaves the process. */
export async function main(program) {
  let failed = 0;
  for (const { name, body } of cases) {
    try {
      await body();
      console.log(`ok ${program}.${name}`);
    } catch (error) {
      failed += 1;
      const reason = `${error?.name}: ${error?.message}`.replace(/\s+/g, " ").slice(0, 500);
      console.log(`FAIL ${program}.${name} ${reason}`);
      console.error(error);
    }
  }
  console.log(`${cases.length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
