import * as assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { utils } from "ssh2";
import { namedContexts } from "../../../../kubernetes/client";
import { readCredentials as read, secretReader } from "../../../../nodes/ssh/key";
import type { SshKeySource } from "../../../../nodes/protocol/spec";
import { UserError } from "../../../../support/errors";
import type { Credentials } from "../../../../nodes/ssh/endpoint";
import { FakeApi } from "../../kubernetes/fakeApi";

const source = { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "c" } as const;

const readCredentials = (from: SshKeySource): Promise<Credentials> =>
  read(from, secretReader(namedContexts()));

async function problem(promise: Promise<unknown>): Promise<UserError["problems"][number]> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.problems[0]!;
  }
  throw new Error("it did not fail");
}

describe("credentials for nodes", () => {
  let api: FakeApi;
  const key = utils.generateKeyPairSync("ecdsa", { bits: 256 }).private;
  before(async () => {
    api = await FakeApi.start();
  });
  after(() => api.stop());
  afterEach(() => api.reset());

  it("are the Supervisor's key, and nobody asks for a password then", async () => {
    api.secret("c-ssh", { "ssh-privatekey": key });
    api.secret("c-ssh-password", { "ssh-passwordkey": "s3cret" });
    assert.deepEqual(await readCredentials(source), {
      kind: "key",
      privateKey: key,
      source: "secret ns1/c-ssh",
    });
    assert.deepEqual(api.requests, ["ns1 GET /api/v1/namespaces/ns1/secrets/c-ssh"]);
  });

  it("may be a PKCS#8 key of each kind, which ssh2 alone does not read", async () => {
    const made = [
      generateKeyPairSync("rsa", { modulusLength: 2048 }),
      generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
      generateKeyPairSync("ed25519"),
    ];
    for (const { privateKey } of made) {
      const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
      assert.ok(utils.parseKey(pem) instanceof Error, "ssh2 reads it by itself");
      api.secret("c-ssh", { "ssh-privatekey": pem });
      const found = await readCredentials(source);
      assert.ok(found.kind === "key");
      const parsed = utils.parseKey(found.privateKey);
      assert.ok(!(parsed instanceof Error));
      // A signature by the key that was read verifies with the public half of the key that was given.
      const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
      assert.deepEqual(createPublicKey(parsed.getPublicPEM()).export({ type: "spki", format: "der" }), spki);
      assert.equal(parsed.verify("text", parsed.sign("text")), true);
    }
    const cipher = {
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: "a passphrase",
    } as const;
    api.secret("c-ssh", { "ssh-privatekey": made[0]!.privateKey.export(cipher) as string });
    assert.match((await problem(readCredentials(source))).seen, /encrypted with a passphrase/);
  });

  it("are the password only where there is no key", async () => {
    api.secret("c-ssh-password", { "ssh-passwordkey": "s3cret" });
    const found = await readCredentials(source);
    assert.deepEqual(found, { kind: "password", password: "s3cret", source: "secret ns1/c-ssh-password" });
  });

  it("are not the password where the key is unusable", async () => {
    api.secret("c-ssh", { "ssh-privatekey": "not a key" });
    api.secret("c-ssh-password", { "ssh-passwordkey": "s3cret" });
    const { code, seen } = await problem(readCredentials(source));
    assert.equal(code, "ssh-key-invalid");
    assert.doesNotMatch(seen, /not a key/);
    api.secret("c-ssh", { other: "x" });
    assert.equal((await problem(readCredentials(source))).code, "ssh-secret-empty");
  });

  it("say what stands in the way", async () => {
    assert.equal((await problem(readCredentials(source))).code, "ssh-secret-missing");
    const message = 'secrets "c-ssh" is forbidden: User "dev" cannot get resource "secrets"';
    api.fail("ns1", 403, "Forbidden", message);
    const { code, seen } = await problem(readCredentials(source));
    assert.equal(code, "no-rights");
    assert.match(seen, /cannot get resource/);
    api.fail("ns1", 401, "Unauthorized");
    assert.equal((await problem(readCredentials(source))).code, "login-expired");
  });

  it("can be a file", async () => {
    const file = path.join(api.pki.folder, "key");
    assert.equal((await problem(readCredentials({ from: "file", path: file }))).code, "ssh-key-file");
    fs.writeFileSync(file, key);
    assert.equal((await readCredentials({ from: "file", path: file })).kind, "key");
    fs.writeFileSync(
      file,
      utils.generateKeyPairSync("ed25519", { passphrase: "p", cipher: "aes256-ctr", rounds: 1 }).private,
    );
    assert.match((await problem(readCredentials({ from: "file", path: file }))).seen, /passphrase/);
  });
});
