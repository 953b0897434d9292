import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import {
  credentialFor,
  defaultDockerConfig,
  dockerConfigJson,
  mergeDockerConfigJson,
  runCredentialHelper,
  type RunHelper,
} from "../../../registry/dockerConfig";
import type { RegistryCredential } from "../../../registry/types";
import { problem } from "../../integration/net/server";

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

  it("is of the longest part of the registry that the image is in, as kubelet has it, and of no other", async () => {
    const part = (path: string, user: string) => ({
      [`${host}${path}`]: { auth: base64(`${user}:password`) },
    });
    const auths = {
      ...part("/ns1", "one"),
      ...part("/ns2", "two"),
      ...part("/ns2/team", "team"),
      ...part("", "all"),
    };
    const of = async (repository: string | undefined, entries: object = auths) => {
      const found = await credentialFor(
        host,
        { text: JSON.stringify({ auths: entries }) },
        { subject, repository, runHelper: noHelper },
      );
      return [found.username, found.path];
    };
    assert.deepEqual(await of("ns2/nginx"), ["two", "/ns2"]);
    assert.deepEqual(await of("ns2/team/nginx"), ["team", "/ns2/team"]);
    assert.deepEqual(await of("ns2/teams/nginx"), ["two", "/ns2"]);
    assert.deepEqual(await of("ns10/nginx"), ["all", undefined]);
    assert.deepEqual(await of(undefined), ["all", undefined]);
    const parts = { ...part("/ns1", "one"), ...part("/ns2", "two") };
    for (const repository of ["ns3/nginx", "ns10/nginx", undefined])
      await assert.rejects(
        of(repository, parts),
        problem("docker-config-no-entry", /harbor\.example\.com\/ns1/),
      );
  });

  it("of a part is written for that part, and leaves the others in a Secret alone", () => {
    const ours = dockerConfigJson([{ host, credential: { username: "u", password: "p", path: "/ns2" } }]);
    assert.deepEqual(Object.keys((JSON.parse(ours) as { auths: object }).auths), [`${host}/ns2`]);
    const before = { auths: { [host]: {}, [`https://${host}/ns2`]: {}, [`${host}/ns1`]: {} } };
    const merged = JSON.parse(mergeDockerConfigJson(JSON.stringify(before), ours)) as { auths: object };
    assert.deepEqual(Object.keys(merged.auths).sort(), [host, `${host}/ns1`, `${host}/ns2`].sort());
  });

  it("of Docker Hub is under the key that docker login writes, and is written under it", async () => {
    const key = "https://index.docker.io/v1/";
    const hub = (config: object) => credentialFor("docker.io", { text: JSON.stringify(config) }, { subject });
    for (const name of [key, "docker.io", "index.docker.io"])
      assert.deepEqual(await hub({ auths: { [name]: { auth } } }), robot);
    const written = dockerConfigJson([{ host: "docker.io", credential: robot }]);
    assert.deepEqual(Object.keys((JSON.parse(written) as { auths: object }).auths), [key]);
  });

  it("is in the folder that DOCKER_CONFIG names", () => {
    assert.equal(defaultDockerConfig({ DOCKER_CONFIG: "/elsewhere" }), "/elsewhere/config.json");
    assert.equal(defaultDockerConfig({}), "~/.docker/config.json");
    assert.equal(defaultDockerConfig({ DOCKER_CONFIG: "" }), "~/.docker/config.json");
  });

  it("that nobody left, where no setting names a file, is answered with the three ways to give one", async () => {
    await assert.rejects(
      credentialFor(host, { path: "/nonexistent/config.json", implied: true }, { subject }),
      problem("docker-config-no-entry", /docker login harbor\.example\.com/, /from: password/, /from: none/),
    );
  });

  it("may be `auth`, or a username and password", async () => {
    assert.deepEqual(await read({ auths: { [host]: { auth } } }), robot);
    assert.deepEqual(await read({ auths: { [host]: robot } }), robot);
    assert.deepEqual(
      await read({ auths: { [host]: { auth, username: "other", password: "other" } } }),
      robot,
    );
  });

  it("is the same to the letter in each form, whatever name and password are made of", async () => {
    const cases = [
      { username: "robot$ns1+pull", password: "$HOME`id`" },
      { username: "robot$ci", password: ":a:b:" },
      { username: "bjørn@vsphere.local", password: "пароль-密碼-🔑" },
      { username: "DOMAIN\\alana", password: "\"'\\ \t$(x)" },
    ];
    for (const credential of cases) {
      const { username, password } = credential;
      const helper: RunHelper = () =>
        Promise.resolve({
          code: 0,
          stdout: JSON.stringify({ Username: username, Secret: password }),
          stderr: "",
        });
      for (const [form, config] of Object.entries({
        auth: { auths: { [host]: { auth: base64(`${username}:${password}`) } } },
        fields: { auths: { [host]: credential } },
        credsStore: { auths: { [host]: {} }, credsStore: "pass" },
        credHelpers: { credHelpers: { [host]: "pass" } },
        written: JSON.parse(dockerConfigJson([{ host, credential }])) as unknown,
      })) {
        assert.deepEqual(await read(config, helper), credential, `${form} of ${username}`);
      }
    }
  });

  it("that is an identity token is refused, as Kubernetes would pass it over in silence", async () => {
    const token = "secret-token";
    const helper: RunHelper = () =>
      Promise.resolve({
        code: 0,
        stdout: JSON.stringify({ Username: "<token>", Secret: token }),
        stderr: "",
      });
    for (const config of [
      { auths: { [host]: { auth: base64("00000000-0000-0000-0000-000000000000:"), identitytoken: token } } },
      { auths: { [host]: { identitytoken: token } } },
      { credHelpers: { [host]: "acr" } },
      { auths: { [host]: {} }, credsStore: "desktop" },
    ]) {
      await assert.rejects(
        read(config, helper),
        (error: Error) =>
          problem(
            "pull-secret-identity-token",
            /^registries\[0\]\.credentials\.path/,
            /robot account/,
          )(error) && !error.message.includes(token),
      );
    }
    // Kubernetes takes the password of such an entry.
    assert.deepEqual(await read({ auths: { [host]: { auth, identitytoken: token } } }), robot);
  });

  it("is the only one that is looked into: other registries' entries may be broken, and no helper is asked for them", async () => {
    const others = { "a.example.com": { auth: 5 }, "b.example.com": "nonsense", [`${host}:8443`]: null };
    assert.deepEqual(await read({ auths: { ...others, [host]: { auth } } }), robot);
    const asked: string[] = [];
    const helper: RunHelper = (_, server) => {
      asked.push(server);
      return Promise.resolve({ code: 1, stdout: "credentials not found in native keychain", stderr: "" });
    };
    const config = { auths: { ...others, [`${host}/v2/`]: null }, credsStore: "pass" };
    await assert.rejects(read(config, helper), problem("docker-config-no-entry"));
    await assert.rejects(
      read({ ...config, credHelpers: { "a.example.com": "ecr", [`${host}:8443`]: "gcr" } }, helper),
      problem("docker-config-no-entry"),
    );
    assert.deepEqual([...new Set(asked)].sort(), [`${host}/v2/`, host, `https://${host}`].sort());
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

  it("is in the file where credHelpers names an empty helper, as docker has it", async () => {
    const config = { auths: { [host]: { auth } }, credHelpers: { [host]: "" }, credsStore: "desktop" };
    assert.deepEqual(await read(config), robot);
  });

  it("comes from the credential store before an entry in the file, and from the file where that has none", async () => {
    const config = { auths: { [host]: { auth } }, credsStore: "desktop" };
    const answer =
      (code: number, stdout: string): RunHelper =>
      () =>
        Promise.resolve({ code, stdout, stderr: "" });
    const stored = JSON.stringify({ Username: "stored", Secret: "p$" });
    assert.deepEqual(await read(config, answer(0, stored)), { username: "stored", password: "p$" });
    assert.deepEqual(await read(config, answer(1, "credentials not found in native keychain\n")), robot);
  });

  it("comes from the credential store where its entry is empty, by the name it was stored under", async () => {
    const helper: RunHelper = (_, server) =>
      Promise.resolve(
        server === `https://${host}/v2/`
          ? {
              code: 0,
              stdout: JSON.stringify({ ServerURL: server, Username: "u", Secret: "t" }),
              stderr: "",
            }
          : { code: 1, stdout: "credentials not found in native keychain\n", stderr: "" },
      );
    assert.deepEqual(
      await read({ auths: { [`https://${host}/v2/`]: {} }, credsStore: "secretservice" }, helper),
      {
        username: "u",
        password: "t",
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
    for (const [answer, seen] of [
      [{ code: 2, stdout: "hunter2", stderr: "" }, /ended with code 2\. Run `echo harbor/],
      [{ code: 2, stdout: "", stderr: "+ echo hunter2" }, /ended with code 2/],
      [{ code: 0, stdout: "hunter2", stderr: "hunter2" }, /without a username and a secret/],
      [{ code: 0, stdout: '{"Username":"","Secret":"hunter2"}', stderr: "" }, /without a username/],
    ] as const) {
      await assert.rejects(
        read(config, () => Promise.resolve(answer)),
        (error: Error) =>
          problem("credential-helper-failed", seen)(error) && !error.message.includes("hunter2"),
      );
    }
    await assert.rejects(
      read({ credsStore: "../../bin/sh" }),
      problem("docker-config-malformed", /is not one/),
    );
  });

  describe("kept by a helper that is a program on PATH", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-helper-"));
    const text = JSON.stringify({ credHelpers: { [host]: "test" } });
    const searchPath = process.env.PATH;
    const secret = "hunter2";
    /** Asks a helper that is this shell script. */
    const ask = (script: string, seconds = 30): Promise<RegistryCredential> => {
      writeFileSync(path.join(folder, "docker-credential-test"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return credentialFor(
        host,
        { text },
        { subject, runHelper: (helper, server) => runCredentialHelper(helper, server, seconds) },
      );
    };
    before(() => {
      process.env.PATH = `${folder}:${searchPath ?? ""}`;
      process.env.PULUMI_CONFIG = secret;
    });
    after(() => {
      process.env.PATH = searchPath;
      delete process.env.PULUMI_CONFIG;
      rmSync(folder, { recursive: true, force: true });
    });

    it("is asked for with the registry on its stdin, and none of our secrets in its environment", async () => {
      const credential = await ask(
        `read -r server\nprintf '{"Username":"%s %s","Secret":"for %s"}' "$*" "\${PULUMI_CONFIG-none}" "$server"`,
      );
      assert.deepEqual(credential, { username: "get none", password: `for ${host}` });
    });

    it("is given also where the helper reads nothing, or prints much on stderr", async () => {
      const answer = `echo '{"Username":"u","Secret":"p"}'`;
      const expected = { username: "u", password: "p" };
      assert.deepEqual(await ask(`exec <&-; ${answer}`), expected);
      assert.deepEqual(await ask(`head -c 500000 /dev/zero >&2; ${answer}`), expected);
    });

    it("is told to be missing where the helper is", async () => {
      const missing = JSON.stringify({ credHelpers: { [host]: "test-that-is-not-there" } });
      await assert.rejects(
        credentialFor(host, { text: missing }, { subject }),
        problem(
          "credential-helper-missing",
          /docker-credential-test-that-is-not-there, which is not on PATH/,
        ),
      );
    });

    it("is given up where the helper hangs, its own children too", async () => {
      const pid = path.join(folder, "pid");
      await assert.rejects(
        ask(`sleep 600 & echo $! > '${pid}'; wait`, 3),
        problem(
          "credential-helper-failed",
          /docker-credential-test could not be run: it does not end within 3 s/,
        ),
      );
      process.kill(Number(readFileSync(pid, "utf8")));
    });

    it("is told without a word of what the helper printed where it fails", async () => {
      for (const [script, seen] of [
        [`set -x; echo ${secret}; exit 7`, /ended with code 7/],
        [`while :; do echo ${secret}; done`, /prints without end/],
        [`while :; do echo ${secret}; done >&2`, /prints without end/],
        [`echo ${secret}; kill -9 $$`, /ended by SIGKILL/],
        [`echo ${secret}`, /without a username and a secret/],
      ] as const) {
        await assert.rejects(
          ask(script),
          (error: Error) =>
            problem("credential-helper-failed", seen)(error) && !error.message.includes(secret),
          script,
        );
      }
    });

    it("is asked for without a shell, whatever the helper's name", async () => {
      for (const name of ["x; touch pwned", "$(id)", "`id`", "../test", "-v", "a b", " "]) {
        await assert.rejects(
          credentialFor(host, { text: JSON.stringify({ credHelpers: { [host]: name } }) }, { subject }),
          problem("docker-config-malformed", /is not one/),
          name,
        );
      }
    });
  });

  it("that is not there is told with the registries that are", async () => {
    await assert.rejects(read({ auths: { "a.example.com": {}, "b.example.com:5000": {} } }), (error: Error) =>
      problem(
        "docker-config-no-entry",
        /there is a\.example\.com, b\.example\.com:5000/,
        /docker login harbor/,
      )(error),
    );
    await assert.rejects(
      read({ auths: { "https://u:hunter2@c.example.com/v2/": {} } }),
      (error: Error) =>
        problem("docker-config-no-entry", /there is https:\/\/…@c\.example\.com\/v2\/\./)(error) &&
        !error.message.includes("hunter2"),
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
      ["docker-config-malformed", JSON.stringify({ auths: { [host]: secret } })],
      ["docker-config-malformed", JSON.stringify({ auths: { [host]: [{ auth: secret }] } })],
      ["docker-config-malformed", JSON.stringify({ auths: secret })],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { auth: base64(secret) } } })],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { auth: base64(`:${secret}`) } } })],
      ["docker-config-unusable-entry", JSON.stringify({ auths: { [host]: { password: secret } } })],
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
