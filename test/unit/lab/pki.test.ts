import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { utils } from "ssh2";
import { authorizedKey, publicKey, sshFingerprint } from "../../../lab/pki";

const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
});

test("the line of authorized_keys is what SSH itself makes of the key", () => {
  const parsed = utils.parseKey(privateKey);
  assert.ok(!(parsed instanceof Error));
  const expected = `ssh-rsa ${parsed.getPublicSSH().toString("base64")} someone@somewhere\n`;
  assert.equal(authorizedKey(privateKey, "someone@somewhere"), expected);
});

test("a key's fingerprint is the one that SSH clients show", () => {
  const parsed = utils.parseKey(privateKey);
  assert.ok(!(parsed instanceof Error));
  const digest = createHash("sha256").update(parsed.getPublicSSH()).digest("base64");
  assert.equal(`${sshFingerprint(privateKey)}=`, `SHA256:${digest}`);
});

test("the public half holds nothing of the private one", () => {
  assert.match(publicKey(privateKey), /^-----BEGIN PUBLIC KEY-----\n/);
  assert.doesNotMatch(publicKey(privateKey), /PRIVATE/);
});
