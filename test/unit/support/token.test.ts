import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { tokenExpiry } from "../../../support/token";

const jwt = (payload: unknown): string =>
  ["{}", JSON.stringify(payload), "signature"]
    .map((part) => Buffer.from(part).toString("base64url"))
    .join(".");

test("a token's end is read from a JWT and from nothing else", () => {
  assert.deepEqual(tokenExpiry(jwt({ exp: 1600400000 })), new Date(1600400000 * 1000));
  for (const claims of [{}, { exp: "1" }, { exp: 0 }, { exp: -1 }, { exp: 1.5 }, { exp: 1e300 }, null, "x"])
    assert.equal(tokenExpiry(jwt(claims)), undefined);
  fc.assert(fc.property(fc.string(), (text) => tokenExpiry(text) === undefined));
  fc.assert(
    fc.property(fc.json(), (text) => void tokenExpiry(`e30.${Buffer.from(text).toString("base64url")}.x`)),
  );
});
