import assert from "node:assert/strict";
import { test } from "node:test";
import { hasLoaded } from "../../../../lab/bench/verify";
import type { FleetEvent } from "../../../../lab/fleet";

const ca = "c".repeat(64);

/** Events of one node: `+` a rehash that saw the CA, `-` one that didn't, `R` a restart that read it, `r` one that didn't. */
function events(history: string): FleetEvent[] {
  return Array.from(history).map((sign, at) => ({
    node: "n",
    at,
    kind: sign === "r" || sign === "R" ? "restart" : "rehash",
    seen: sign === "+" || sign === "R" ? ["another", ca] : ["another"],
  }));
}

const histories: readonly (readonly [history: string, loaded: boolean, why: string])[] = [
  ["R", true, "restarted with the CA in its bundle, without a rehash"],
  ["+R", true, "restarted after a rehash that saw the CA"],
  ["+R+", true, "and rehashed once more"],
  ["-r+R", true, "the last of two restarts came after"],
  ["", false, "nothing happened"],
  ["+", false, "never restarted"],
  ["r+", false, "restarted before the rehash only"],
  ["-r", false, "no rehash saw the CA"],
  ["+R-", false, "a later rehash didn't see the CA any more"],
  ["+R-r+", false, "since the CA came back nobody restarted"],
];

for (const [history, loaded, why] of histories) {
  test(`containerd ${loaded ? "has" : "has not"} loaded the CA: ${why}`, () => {
    assert.equal(hasLoaded(events(history), ca), loaded);
  });
}
