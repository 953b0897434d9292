/** `npm run check:settings` as a person runs it: in a process of its own, in a folder with settings files. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { packageRoot } from "../../../support/build";
import { type CommandResult, runCommand } from "../command";

const good = `config:
  tkc-registry:namespace: ns1
  tkc-registry:cluster: c1
  tkc-registry:registries:
    - host: a.example.com
      ca: { from: chain, sha256: ${"ab".repeat(32)} }
      credentials: { from: password, username: puller }
  tkc-registry:passwords:
    a.example.com: { secure: v1:AAAA:BBBB }
`;

describe("npm run check:settings", () => {
  let folder: string;
  beforeEach(() => (folder = fs.mkdtempSync("/tmp/tkc-registry-settings-")));
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  const write = (name: string, text: string): void => fs.writeFileSync(path.join(folder, name), text);
  /** Runs it in the folder, with nothing in its environment. */
  const check = (...files: string[]): Promise<CommandResult> => {
    const program = `require(${JSON.stringify(path.join(packageRoot, "dist", "run.js"))})`;
    return new Promise((resolve) => {
      const args = ["-e", program, "--", "v1", "check-settings", ...files];
      execFile(process.execPath, args, { cwd: folder, env: {} }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });
  };

  it("checks each Pulumi.<stack>.yaml of the folder, and no other file", async () => {
    write("Pulumi.yaml", "name: tkc-registry\nruntime: nodejs\n");
    write("Pulumi.prod.yaml", good);
    write("Pulumi.dev.yaml", good);
    write("other.yaml", "[");
    assert.deepEqual(await check(), {
      code: 0,
      stdout: "Pulumi.dev.yaml: ok\nPulumi.prod.yaml: ok\n",
      stderr: "",
    });
  });

  it("tells of a Pulumi.yaml that names no project", async () => {
    write("Pulumi.a.yaml", good);
    for (const text of ["runtime: nodejs\n", "name: [\n", "name: 1\n"]) {
      write("Pulumi.yaml", text);
      const { code, stdout, stderr } = await check();
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /^Pulumi\.yaml: it is not .*\[stack-file-malformed\]\n$/);
    }
  });

  it("says of each file what a run would say, in the same words, and goes on", async () => {
    write("Pulumi.a.yaml", good.replace("c1", "NS").replace("host:", "hots:"));
    write("Pulumi.b.yaml", good.replace("tkc-registry:cluster", "tkc-registy:cluster"));
    write("Pulumi.c.yaml", good.replace("{ secure: v1:AAAA:BBBB }", "hunter2"));
    write("Pulumi.d.yaml", good);
    const { code, stdout, stderr } = await check();
    assert.equal(code, 1, stderr);
    assert.match(
      stdout,
      /^Pulumi\.a\.yaml: 3 problems were found:\n {2}1\. setting tkc-registry:cluster: it is "NS"/,
    );
    assert.match(
      stdout,
      /setting tkc-registry:registries\[0\]\.hots: .*\n.*use one of: host, kind.*\[unknown-setting\]/,
    );
    assert.match(stdout, /setting tkc-registy:cluster: the project is tkc-registry\n.*\[unknown-setting\]/);
    assert.match(
      stdout,
      /Pulumi\.c\.yaml: setting tkc-registry:passwords: it is kept in clear .*\[secret-in-clear\]/,
    );
    assert.match(stdout, /\nPulumi\.d\.yaml: ok\n$/);
    assert.doesNotMatch(stdout, /hunter2/);
  });

  it("checks the files that are named", async () => {
    write("one.yaml", good);
    write("two.yaml", good.replace("c1", "NS"));
    write("Pulumi.dev.yaml", "[");
    const { code, stdout } = await check("two.yaml", "one.yaml");
    assert.equal(code, 1);
    assert.match(stdout, /^two\.yaml: setting .* \[bad-setting\]\none\.yaml: ok\n$/);
  });

  it("takes the project's name from Pulumi.yaml", async () => {
    write("Pulumi.yaml", "name: ours\nruntime: nodejs\n");
    write("Pulumi.dev.yaml", good.replaceAll("tkc-registry:", "ours:"));
    write("Pulumi.two.yaml", good.replaceAll("tkc-registry:", ""));
    assert.deepEqual(await check(), {
      code: 0,
      stdout: "Pulumi.dev.yaml: ok\nPulumi.two.yaml: ok\n",
      stderr: "",
    });
  });

  it("ends with 2 where it can't be told: a file that is no YAML, no file, none at all, an environment", async () => {
    const none = await check();
    assert.equal(none.code, 2);
    assert.match(none.stderr, /no Pulumi\.<stack>\.yaml.*\[bad-arguments\]/);
    write("Pulumi.a.yaml", good.replace("c1", "NS"));
    write("Pulumi.b.yaml", 'config:\n  a: "hunter2\n');
    write("Pulumi.c.yaml", `environment: [prod]\n${good.replace("tkc-registry:cluster: c1", "other:x: 1")}`);
    const { code, stdout } = await check("Pulumi.b.yaml", "Pulumi.a.yaml", "Pulumi.c.yaml", "nowhere.yaml");
    assert.equal(code, 2);
    assert.match(stdout, /Pulumi\.b\.yaml: settings file: line \d: it is not YAML .*\[settings-file\]/);
    assert.match(stdout, /Pulumi\.a\.yaml: setting .*\[bad-setting\]/);
    assert.match(
      stdout,
      /Pulumi\.c\.yaml: without what its `environment` gives: setting .*\[missing-setting\]/,
    );
    assert.match(stdout, /nowhere\.yaml: settings file: the file .* does not exist.*\[file-unreadable\]/);
    assert.doesNotMatch(stdout, /hunter2/);
  });

  it("takes what is encrypted for right, and still sees what is wrong beside it", async () => {
    write("Pulumi.a.yaml", good.replace("host: a.example.com", "host: { secure: v1:A:B }"));
    write(
      "Pulumi.b.yaml",
      `${good}  tkc-registry:deployment: { replicas: { secure: v1:A:B }, env: { A: { secure: v1:A:B } } }\n`,
    );
    const { code, stdout } = await check();
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^Pulumi\.a\.yaml: ok\nPulumi\.b\.yaml: setting tkc-registry:deployment\.replicas: .*\n$/,
    );
  });

  it("finds the committed examples right", async () => {
    const examples = path.join(packageRoot, "examples", "environments");
    const names = ["dev", "staging", "prod"].map((stack) => path.join(examples, `Pulumi.${stack}.yaml`));
    const files = [path.join(packageRoot, "Pulumi.example.yaml"), ...names];
    const { code, stdout } = await check(...files);
    assert.deepEqual([code, stdout], [0, files.map((file) => `${file}: ok\n`).join("")]);
  });

  it("has a help text", async () => {
    const { code, stdout } = await runCommand(["v1", "check-settings", "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /npm run check:settings -- \[FILE\.\.\.\][^]*Exit code: 0 /);
  });
});
