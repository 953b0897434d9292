import assert from "node:assert/strict";
import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { utils } from "ssh2";
import { authorizedKey, forgetAuthority, publicKey, sshFingerprint, type KeyPair } from "../../../lab/pki";
import { inProcesses } from "./children";

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

test("processes that need a certificate at the same time have one and the same, and its key", async () => {
  const name = `test-${process.pid}`;
  const script = `
    const { authority, issue } = require("./lab/pki");
    (async () => {
      const ca = await authority(process.argv[1], "ca");
      const server = await issue(ca, "server", { commonName: "server", names: ["IP:198.18.0.1"] });
      console.log(JSON.stringify([ca, server]));
    })();`;
  try {
    const results = await inProcesses(4, script, name);
    const answers = results.map(({ stdout, stderr }) => {
      assert.equal(stderr, "");
      return stdout;
    });
    assert.equal(new Set(answers).size, 1);
    const pairs = JSON.parse(answers[0]!) as [KeyPair, KeyPair];
    const [ca, server] = pairs.map(({ certificate }) => new X509Certificate(certificate)) as [
      X509Certificate,
      X509Certificate,
    ];
    assert.ok(server.verify(ca.publicKey));
    pairs.forEach(({ key }, index) => assert.ok([ca, server][index]!.checkPrivateKey(createPrivateKey(key))));
  } finally {
    forgetAuthority(name);
  }
});
