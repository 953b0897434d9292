import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { UserError } from "../../../support/errors";
import { supportProblem } from "../../../support/problems";
import { cleanError, defectText, rememberSecret, withoutSecrets } from "../../../support/secrets";
import { printableError } from "../../../components/sdk";

/** The ways in which libraries quote what they were given. */
const quotes: readonly ((secret: string) => Error)[] = [
  (secret) => new TypeError(`Bearer ${secret} is not a legal HTTP header value`),
  (secret) => new Error(`cannot parse ${JSON.stringify({ auth: secret })}`),
  (secret) => new Error(`GET https://user:${encodeURIComponent(secret)}@host/ failed`),
  (secret) => new Error(`bad header Basic ${Buffer.from(secret).toString("base64")}`),
  (secret) => new Error("outer", { cause: new Error(`inner: ${secret}`) }),
  (secret) => Object.assign(new Error("with details"), { input: secret, headers: { authorization: secret } }),
  (secret) => new AggregateError([new Error(secret)], "several"),
];

function secretOf(kind: number): string {
  const text = randomBytes(18).toString("base64");
  return [text, `${text}\n`, `a"${text}\\ü %`, `-----BEGIN KEY-----\n${text}\n${text}x\n-----END KEY-----\n`][
    kind % 4
  ]!;
}

describe("a secret that was remembered", () => {
  it("is in no text of an error that quotes it, in whatever form", () => {
    for (let run = 0; run < 40; run += 1) {
      const secret = rememberSecret(secretOf(run));
      const core = secret
        .split("\n")
        .find((line) => line.length > 20 && !line.startsWith("-"))!
        .trim();
      for (const quote of quotes) {
        const shown = [
          defectText(quote(secret)),
          supportProblem.error("file-unreadable", { subject: "x", seen: quote(secret).message }).message,
          String((printableError(quote(secret)) as Error).stack),
        ];
        for (const text of shown) {
          for (const form of [core, encodeURIComponent(core), JSON.stringify(core).slice(1, -1)])
            assert.ok(!text.includes(form), text);
        }
      }
    }
  });

  it("may be half a surrogate pair", () => {
    rememberSecret("\ud800 half of a pair");
    assert.equal(withoutSecrets("a \ud800 half of a pair b"), "a [secret] b");
  });

  it("leaves the rest of a text as it is", () => {
    rememberSecret("correct-horse");
    assert.equal(
      withoutSecrets("user admin, password correct-horse: refused"),
      "user admin, password [secret]: refused",
    );
    assert.equal(withoutSecrets("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    rememberSecret("ab");
    rememberSecret("");
    rememberSecret(undefined);
    assert.equal(withoutSecrets("about abs"), "about abs");
  });

  it("keeps an error's kind and its place", () => {
    rememberSecret("battery-staple");
    const error = cleanError(new RangeError("battery-staple is too long")) as RangeError;
    assert.ok(error instanceof RangeError);
    assert.match(error.stack ?? "", /^RangeError: \[secret\] is too long\n\s+at .*secrets\.test/);
    const user = new UserError({ code: "x", subject: "s", seen: "seen", remedy: "r" });
    assert.match((printableError(user) as Error).message, /^s: seen/);
  });
});
