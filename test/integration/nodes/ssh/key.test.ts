import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { utils } from "ssh2";
import { readCredentials } from "../../../../nodes/ssh/key";
import { UserError } from "../../../../support/errors";
import { FakeKubectl } from "../../kubernetes/fakeKubectl";

const source = { from: "supervisor", context: "ns1", namespace: "ns1", cluster: "c" } as const;

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
  let kubectl: FakeKubectl;
  const key = utils.generateKeyPairSync("ed25519").private;
  before(() => (kubectl = new FakeKubectl()));
  after(() => kubectl.remove());
  afterEach(() => {
    kubectl.fail(undefined);
    kubectl.forget("secret", "c-ssh");
    kubectl.forget("secret", "c-ssh-password");
  });

  it("are the Supervisor's key, and nobody asks for a password then", async () => {
    kubectl.secret("c-ssh", { "ssh-privatekey": key });
    kubectl.secret("c-ssh-password", { "ssh-passwordkey": "s3cret" });
    assert.deepEqual(await readCredentials(source), {
      kind: "key",
      privateKey: key,
      source: "secret ns1/c-ssh",
    });
    assert.doesNotMatch(kubectl.calls, /c-ssh-password/);
  });

  it("are the password only where there is no key", async () => {
    kubectl.secret("c-ssh-password", { "ssh-passwordkey": "s3cret" });
    const found = await readCredentials(source);
    assert.deepEqual(found, { kind: "password", password: "s3cret", source: "secret ns1/c-ssh-password" });
  });

  it("are not the password where the key is unusable", async () => {
    kubectl.secret("c-ssh", { "ssh-privatekey": "not a key" });
    kubectl.secret("c-ssh-password", { "ssh-passwordkey": "s3cret" });
    const { code, seen } = await problem(readCredentials(source));
    assert.equal(code, "ssh-key-invalid");
    assert.doesNotMatch(seen, /not a key/);
    kubectl.secret("c-ssh", { other: "x" });
    assert.equal((await problem(readCredentials(source))).code, "ssh-secret-empty");
  });

  it("say what stands in the way", async () => {
    assert.equal((await problem(readCredentials(source))).code, "ssh-secret-missing");
    kubectl.fail(
      'Error from server (Forbidden): secrets "c-ssh" is forbidden: User "dev" cannot get resource "secrets"',
    );
    const { code, seen } = await problem(readCredentials(source));
    assert.equal(code, "ssh-secret-forbidden");
    assert.match(seen, /cannot get resource/);
    kubectl.fail("error: You must be logged in to the server (Unauthorized)");
    assert.equal((await problem(readCredentials(source))).code, "ssh-secret-login-expired");
  });

  it("can be a file", async () => {
    const file = path.join(kubectl.folder, "key");
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
