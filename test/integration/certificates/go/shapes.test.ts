import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { json } from "node:stream/consumers";
import { before, describe, it } from "node:test";
import { checkCertificates } from "../../../../certificates/certificates";
import { readCertificates } from "../../../../certificates/pem";
import { tlsDialer, toolsAreBuilt } from "../../../../lab/tools";
import { UserError } from "../../../../support/errors";
import { type Shape, type Verdict, makeShapes } from "./shapes";

const subject = "registries[0].ca";

function ourVerdict(pem: string): { verdict: Verdict; said: string } {
  try {
    const { warnings } = checkCertificates(readCertificates(pem, { subject }), { subject });
    return { verdict: warnings.length > 0 ? "warned" : "taken", said: warnings.join() };
  } catch (error) {
    if (error instanceof UserError) return { verdict: "refused", said: error.message };
    throw error;
  }
}

describe("the shape of a CA's certificate", () => {
  let shapes: [string, Shape][];
  before(() => {
    shapes = Object.entries(makeShapes());
  });

  it("gets the verdict that is written beside it, and none that Go skips passes without a word", () => {
    for (const [name, { pem, go, ours }] of shapes) {
      const { verdict, said } = ourVerdict(pem);
      assert.equal(verdict, ours, `${name}: ${said}`);
      assert.notEqual(verdict, go ? "refused" : "taken", name);
    }
  });

  it(
    "is kept or skipped by Go itself as is written beside it",
    {
      skip: toolsAreBuilt(["tlsdial"])
        ? false
        : "the lab's tlsdial is not built: run the tests without --fast, or `npm run lab` once",
    },
    async () => {
      const dialer = spawn(tlsDialer(), { stdio: ["pipe", "pipe", "inherit"] });
      const input = shapes.map(([, { pem }]) => ({
        address: "",
        serverName: "",
        roots: pem,
        now: new Date(),
      }));
      dialer.stdin.end(JSON.stringify(input));
      const verdicts = (await json(dialer.stdout)) as { kind?: string }[];
      shapes.forEach(([name, { go }], index) => assert.equal(verdicts[index]!.kind === undefined, go, name));
    },
  );
});
