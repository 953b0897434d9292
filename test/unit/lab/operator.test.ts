import assert from "node:assert/strict";
import { test } from "node:test";
import { tokensExpire } from "../../../lab/operator";

function token(exp: number): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256" })}.${part({ sub: "sso:someone", exp })}.c2lnbmF0dXJl`;
}

test("a kubeconfig is as good as the token in it that expires first", () => {
  const kubeconfig = `users:\n- user:\n    token: ${token(2000)}\n- user:\n    token: "${token(1000)}"\n`;
  assert.equal(tokensExpire(kubeconfig), 1000);
});

test("a kubeconfig without tokens is not taken for one that is good", () => {
  assert.equal(tokensExpire("users: []\n"), undefined);
});
