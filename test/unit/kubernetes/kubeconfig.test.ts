import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import {
  mergeKubeconfig,
  parseKubeconfigYaml,
  updateKubeconfig,
  type KubeconfigEntry,
} from "../../../kubernetes/kubeconfig";
import { kubeconfigFiles } from "../../../kubernetes/kubeconfigFiles";
import { problem } from "../../integration/net/server";

const entry: KubeconfigEntry = {
  context: "ns1",
  namespace: "ns1",
  cluster: "10.213.208.65",
  server: "https://10.213.208.65:6443",
  ca: ["-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"],
  user: "wcp:10.213.208.65:alana@vsphere.local",
  token: "new-token",
};
const file = "config";
const merge = async (text: string, entries = [entry], force = false): Promise<Record<string, unknown>> =>
  await parseKubeconfigYaml(await mergeKubeconfig(text, entries, { file, force }), file);

const existing = `# my clusters
apiVersion: v1
kind: Config
current-context: mine
preferences: {colors: true}
extensions: [{name: e, extension: {a: 1}}]
clusters:
- name: mine
  cluster: {server: "https://mine:6443", certificate-authority: /ca.crt, proxy-url: "http://proxy"}
- name: 10.213.208.65
  cluster: {server: "https://10.213.208.65:6443/", insecure-skip-tls-verify: true, proxy-url: "http://proxy"}
contexts:
- name: mine
  context: {cluster: mine, user: me, namespace: "007"}
- name: ns1
  context: {cluster: 10.213.208.65, user: old, namespace: ns1, extensions: [{name: x}]}
users:
- name: me
  user: {exec: {command: login, args: ["yes", "1e3"]}}
- name: wcp:10.213.208.65:alana@vsphere.local
  user: {token: old-token}
`;

describe("entries put into a kubeconfig", () => {
  it("make one where there was none", async () => {
    const expected = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: entry.cluster,
          cluster: {
            server: entry.server,
            "certificate-authority-data": Buffer.from(entry.ca[0]!).toString("base64"),
          },
        },
      ],
      contexts: [{ name: "ns1", context: { cluster: entry.cluster, user: entry.user, namespace: "ns1" } }],
      users: [{ name: entry.user, user: { token: "new-token" } }],
      "current-context": "ns1",
    };
    for (const text of ["", "\n# nothing yet\n", "apiVersion: v1\nkind: Config\nclusters: null\n"]) {
      assert.deepEqual(await merge(text), expected);
    }
  });

  it("leave everything else as it was, and renew what is theirs", async () => {
    const before = await parseKubeconfigYaml(existing, file);
    const merged = await merge(existing);
    for (const key of ["preferences", "extensions", "current-context"])
      assert.deepEqual(merged[key], before[key]);
    for (const key of ["clusters", "contexts", "users"]) {
      assert.deepEqual((merged[key] as unknown[])[0], (before[key] as unknown[])[0]);
      assert.equal((merged[key] as unknown[]).length, 2);
    }
    assert.deepEqual((merged.clusters as { cluster: unknown }[])[1]!.cluster, {
      "proxy-url": "http://proxy",
      server: entry.server,
      "certificate-authority-data": Buffer.from(entry.ca[0]!).toString("base64"),
    });
    assert.deepEqual((merged.contexts as { context: unknown }[])[1]!.context, {
      cluster: entry.cluster,
      user: entry.user,
      namespace: "ns1",
      extensions: [{ name: "x" }],
    });
    assert.deepEqual((merged.users as { user: unknown }[])[1]!.user, { token: "new-token" });
    const again = await mergeKubeconfig(existing, [entry], { file, force: false });
    assert.equal(await mergeKubeconfig(again, [entry], { file, force: false }), again);
  });

  it("never replace one of the same name for another server, unless forced", async () => {
    const other = existing.replace("10.213.208.65:6443/", "10.9.9.9:6443");
    await assert.rejects(
      merge(other),
      problem(
        "kubeconfig-conflict",
        /cluster "10\.213\.208\.65" there is for https:\/\/10\.9\.9\.9/,
        /context "ns1"/,
        /--force/,
      ),
    );
    await assert.rejects(
      merge(existing, [{ ...entry, context: "mine" }]),
      problem("kubeconfig-conflict", /context "mine" there is for https:\/\/mine:6443/),
    );
    await assert.rejects(
      merge(existing, [{ ...entry, user: "me" }]),
      problem("kubeconfig-conflict", /user "me" there has exec/),
    );
    const forced = await merge(existing, [{ ...entry, context: "mine", user: "me" }], true);
    assert.deepEqual((forced.users as { user: unknown }[])[0]!.user, { token: "new-token" });
  });

  it("are not put into what is no kubeconfig, and no message repeats it", async () => {
    for (const text of [
      "- secret",
      "secret",
      "clusters: secret",
      "users: [{name: 5, secret: x}]",
      "a: [secret",
      "a: b\n---\nsecret: d",
    ]) {
      await assert.rejects(
        merge(text),
        (error: Error) => problem("kubeconfig-malformed")(error) && !error.message.includes("secret"),
        text,
      );
    }
  });
});

describe("the kubeconfig file", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-kubeconfig-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  const to = (text: string) => (): Promise<string> => Promise.resolve(text);

  it("is the first of KUBECONFIG, else the one at home", () => {
    assert.deepEqual(kubeconfigFiles({ KUBECONFIG: ":/a:/b" }), ["/a", "/b"]);
    assert.deepEqual(kubeconfigFiles({ KUBECONFIG: "" }), [path.join(homedir(), ".kube", "config")]);
  });

  it("is written with mode 0600, in a folder of its own where there is none, and nothing is left beside it", async () => {
    const written = path.join(folder, "new", "config");
    await updateKubeconfig(written, to("a"));
    assert.equal(statSync(written).mode & 0o777, 0o600);
    assert.equal(statSync(path.dirname(written)).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(path.dirname(written)), ["config"]);

    const loose = path.join(folder, "loose");
    writeFileSync(loose, "old", { mode: 0o644 });
    await updateKubeconfig(loose, (text) => Promise.resolve(`${text}+new`));
    assert.equal(readFileSync(loose, "utf8"), "old+new");
    assert.equal(statSync(loose).mode & 0o777, 0o600);
  });

  it("stays a symbolic link where it is one", async () => {
    const target = path.join(folder, "target");
    const link = path.join(folder, "link");
    writeFileSync(target, "old");
    symlinkSync(target, link);
    await updateKubeconfig(link, to("new"));
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.equal(readFileSync(target, "utf8"), "new");

    symlinkSync(path.join(folder, "absent"), path.join(folder, "dangling"));
    await assert.rejects(
      updateKubeconfig(path.join(folder, "dangling"), to("x")),
      problem("kubeconfig-unwritable", /symbolic link/),
    );
  });

  it("stays as it was when the change fails", async () => {
    const kept = path.join(folder, "kept");
    writeFileSync(kept, "old");
    await assert.rejects(
      updateKubeconfig(kept, () => Promise.reject(new Error("no"))),
      /no/,
    );
    assert.equal(readFileSync(kept, "utf8"), "old");
    assert.ok(!existsSync(`${kept}.lock`));
    await assert.rejects(
      updateKubeconfig(path.join(kept, "below"), to("x")),
      problem("kubeconfig-unwritable", /ENOTDIR|EEXIST/),
    );
  });

  it("is changed by one program at a time", async () => {
    const counted = path.join(folder, "counted");
    writeFileSync(counted, "0");
    await Promise.all(
      Array.from({ length: 5 }, () =>
        updateKubeconfig(counted, (text) => Promise.resolve(String(Number(text) + 1))),
      ),
    );
    assert.equal(readFileSync(counted, "utf8"), "5");
  });
});
