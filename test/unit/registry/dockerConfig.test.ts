import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import {
  credentialFor,
  dockerConfigJson,
  mergeDockerConfigJson,
  type RunHelper,
} from "../../../registry/dockerConfig";
import type { RegistryCredential } from "../../../registry/types";
import { problem } from "../../integration/registry/server";

const subject = "registries[0].credentials.path";
const host = "harbor.example.com";
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const noHelper: RunHelper = () => Promise.reject(new Error("no helper is to be run"));

const read = (
  config: unknown,
  runHelper: RunHelper = noHelper,
  registry = host,
): Promise<RegistryCredential> =>
  credentialFor(registry, { text: JSON.stringify(config) }, { subject, runHelper });

describe("a credential of docker's config.json", () => {
  const robot = { username: "robot$ns1+pull", password: "pa:ss$word" };
  const auth = base64("robot$ns1+pull:pa:ss$word");

  it("is found under each spelling of the registry that docker writes", async () => {
    for (const key of [
      host,
      `https://${host}`,
      `https://${host}/v2/`,
      `http://${host}/v1/`,
      `${host}/`,
      "HARBOR.example.com",
      `${host}:443`,
    ]) {
      assert.deepEqual(
        await read({ auths: { "other.example.com": { auth: base64("a:b") }, [key]: { auth } } }),
        robot,
        key,
      );
    }
  });

  it("is this port's and no other's", async () => {
    const auths = { [host]: { auth: base64("a:b") }, [`${host}:8443`]: { auth } };
    assert.deepEqual(await read({ auths }, noHelper, `${host}:8443`), robot);
    await assert.rejects(
      read({ auths: { [`${host}:8443`]: { auth } } }),
      problem("docker-config-no-entry", /harbor\.example\.com:8443/),
    );
  });

  it("of the registry goes before one of a project of it", async () => {
    assert.deepEqual(
      await read({ auths: { [`${host}/a`]: { auth: base64("a:b") }, [`https://${host}/v2/`]: { auth } } }),
      robot,
    );
  });

  it("may be a username and password, or an identity token", async () => {
    assert.deepEqual(await read({ auths: { [host]: robot } }), robot);
    assert.deepEqual(await read({ auths: { [host]: { auth: base64("00000000:"), identitytoken: "eyJ" } } }), {
      username: "00000000",
      identityToken: "eyJ",
    });
  });

  it("comes from the helper named for the registry before anything else", async () => {
    const asked: [string, string][] = [];
    const helper: RunHelper = (name, server) => {
      asked.push([name, server]);
      return Promise.resolve({
        code: 0,
        stdout: JSON.stringify({ Username: "u", Secret: "p$" }),
        stderr: "",
      });
    };
    const config = { auths: { [host]: { auth } }, credHelpers: { [host]: "pass" }, credsStore: "desktop" };
    assert.deepEqual(await read(config, helper), { username: "u", password: "p$" });
    assert.deepEqual(asked, [["pass", host]]);
  });

  it("comes from the credential store where its entry is empty, by the name it was stored under", async () => {
    const helper: RunHelper = (_, server) =>
      Promise.resolve(
        server === `https://${host}/v2/`
          ? {
              code: 0,
              stdout: JSON.stringify({ ServerURL: server, Username: "<token>", Secret: "t" }),
              stderr: "",
            }
          : { code: 1, stdout: "credentials not found in native keychain\n", stderr: "" },
      );
    assert.deepEqual(
      await read({ auths: { [`https://${host}/v2/`]: {} }, credsStore: "secretservice" }, helper),
      {
        username: "",
        identityToken: "t",
      },
    );
    await assert.rejects(
      read({ auths: { "x.example.com": {} }, credsStore: "secretservice" }, helper),
      problem(
        "docker-config-no-entry",
        /docker-credential-secretservice has no credential for harbor\.example\.com/,
      ),
    );
  });

  it("that a helper does not give is told with the helper's name, and no secret", async () => {
    const config = { auths: { [host]: {} }, credsStore: "desktop" };
    const missing: RunHelper = () => Promise.reject(Object.assign(new Error("spawn"), { code: "ENOENT" }));
    await assert.rejects(
      read(config, missing),
      problem("credential-helper-missing", /docker-credential-desktop, which is not on PATH/),
    );
    const failing: RunHelper = () => Promise.resolve({ code: 2, stdout: "", stderr: "keychain is\nlocked" });
    await assert.rejects(
      read(config, failing),
      problem("credential-helper-failed", /code 2: keychain is locked/),
    );
    const garbled: RunHelper = () => Promise.resolve({ code: 0, stdout: "hunter2", stderr: "" });
    await assert.rejects(
      read(config, garbled),
      (error: Error) => problem("credential-helper-failed")(error) && !error.message.includes("hunter2"),
    );
    const answer = JSON.stringify({ Username: "u", Secret: "hunter2" });
    const broken: RunHelper = () => Promise.resolve({ code: 1, stdout: answer, stderr: "" });
    await assert.rejects(
      read(config, broken),
      (error: Error) => problem("credential-helper-failed")(error) && !error.message.includes("hunter2"),
    );
    await assert.rejects(
      read({ credsStore: "../../bin/sh" }),
      problem("docker-config-malformed", /is not one/),
    );
  });

  it("is asked of a helper that is a program on PATH, with the registry on its stdin", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-helper-"));
    after(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(
      path.join(folder, "docker-credential-test"),
      '#!/bin/sh\nread -r server\nprintf \'{"Username":"%s","Secret":"%s"}\' "$1" "$server"\n',
      { mode: 0o755 },
    );
    const searchPath = process.env.PATH;
    process.env.PATH = `${folder}:${searchPath ?? ""}`;
    try {
      const text = JSON.stringify({ credHelpers: { [host]: "test" } });
      assert.deepEqual(await credentialFor(host, { text }, { subject }), { username: "get", password: host });
      const missing = JSON.stringify({ credHelpers: { [host]: "test-that-is-not-there" } });
      await assert.rejects(
        credentialFor(host, { text: missing }, { subject }),
        problem("credential-helper-missing"),
      );
    } finally {
      process.env.PATH = searchPath;
    }
  });

  it("that is not there is told with the registries that are", async () => {
    await assert.rejects(read({ auths: { "a.example.com": {}, "b.example.com:5000": {} } }), (error: Error) =>
      problem(
        "docker-config-no-entry",
        /there is a\.example\.com, b\.example\.com:5000/,
        /docker login harbor/,
      )(error),
    );
    await assert.rejects(read({}), problem("docker-config-no-entry", /none at all/));
    await assert.rejects(
      read({ auths: { [host]: {} } }),
      problem("docker-config-unusable-entry", /no credential store/),
    );
  });

  it("that cannot be used is told without a word of the file", async () => {
    const secret = "hunter2";
    const cases: [string, string][] = [
      ["docker-config-malformed", `{"auths": {"${host}": ${secret}`],
      ["docker-config-malformed", secret],
      ["docker-config-malformed", ""],
      ["docker-config-malformed", `{"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
      ["docker-config-no-entry", JSON.stringify({ auths: { [`https://me:${secret}@other.example`]: {} } })],
      ["docker-config-malformed", JSON.stringify({ auths: { [host]: { auth: 5 } } })],
      ["docker-config-malformed", JSON.stringify([secret])],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { auth: base64(secret) } } })],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { auth: `${secret}!` } } })],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { username: "u" } } })],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { registrytoken: secret } } })],
    ];
    for (const [code, text] of cases) {
      await assert.rejects(
        credentialFor(host, { text }, { subject, runHelper: noHelper }),
        (error: Error) => problem(code)(error) && !error.message.includes(secret),
        text,
      );
    }
  });

  it("of a file that is missing is told with its path", async () => {
    await assert.rejects(
      credentialFor(host, { path: "/nonexistent/config.json" }, { subject }),
      problem("file-unreadable", /\/nonexistent\/config\.json does not exist/),
    );
    await assert.rejects(
      credentialFor(host, { path: tmpdir() }, { subject }),
      problem("file-unreadable", /is a folder/),
    );
  });
});

describe("a pull secret", () => {
  const credential = fc.record(
    {
      username: fc.string({ minLength: 1 }).filter((name) => !name.includes(":") && !name.includes("\ufffd")),
      password: fc
        .string({ minLength: 1 })
        .filter((password) => !password.endsWith("\0") && !password.includes("\ufffd")),
    },
    { noNullPrototype: true },
  );

  it("gives back every credential that was put in, and names no other registry", async () => {
    await fc.assert(
      fc.asyncProperty(credential, credential, async (first, second) => {
        const text = dockerConfigJson([
          { host: "b.example.com:5000", credential: first },
          { host: "a.example.com", credential: second },
        ]);
        assert.deepEqual(Object.keys((JSON.parse(text) as { auths: object }).auths), [
          "a.example.com",
          "b.example.com:5000",
        ]);
        assert.deepEqual(await credentialFor("b.example.com:5000", { text }, { subject }), first);
        assert.deepEqual(await credentialFor("a.example.com", { text }, { subject }), second);
      }),
    );
  });

  it("refuses an identity token, which kubelet would pass over in silence", () => {
    assert.throws(
      () => dockerConfigJson([{ host, credential: { username: "u", identityToken: "secret-token" } }]),
      (error: Error) =>
        problem("pull-secret-identity-token", /robot account/)(error) &&
        !error.message.includes("secret-token"),
    );
  });

  it("that was there before keeps all that is not ours", () => {
    const ours = dockerConfigJson([{ host, credential: { username: "u", password: "p" } }]);
    const existing = {
      HttpHeaders: { "X-Meta": "1" },
      auths: {
        "other.example.com": { auth: base64("x:y"), email: "x@example.com" },
        [`https://${host}/v2/`]: { auth: base64("old:old") },
        [`${host}/project`]: { auth: base64("p:p") },
        [`${host}:8443`]: { auth: base64("q:q") },
      },
    };
    assert.deepEqual(JSON.parse(mergeDockerConfigJson(JSON.stringify(existing), ours)), {
      HttpHeaders: { "X-Meta": "1" },
      auths: {
        "other.example.com": existing.auths["other.example.com"],
        [`${host}/project`]: existing.auths[`${host}/project`],
        [`${host}:8443`]: existing.auths[`${host}:8443`],
        [host]: { username: "u", password: "p", auth: base64("u:p") },
      },
    });
    const once = mergeDockerConfigJson(JSON.stringify(existing), ours);
    assert.equal(mergeDockerConfigJson(once, ours), once);
    const without = mergeDockerConfigJson('{"HttpHeaders":{}}', ours);
    assert.equal(mergeDockerConfigJson(without, ours), without, "the second run writes nothing");
    assert.throws(() => mergeDockerConfigJson("nonsense", ours), problem("docker-config-malformed"));
  });
});
