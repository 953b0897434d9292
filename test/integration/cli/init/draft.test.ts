/** What `init` would write, from options and another environment's settings, where nobody is asked. */
import assert from "node:assert/strict";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { Answers } from "../../../../cli/init/answers";
import { readRequest } from "../../../../cli/init/arguments";
import { makeDraft } from "../../../../cli/init/draft";
import type { Draft } from "../../../../cli/init/settingsFile";
import { Pki } from "../../certificates/pki";
import { unusedPort } from "../../net/server";

describe("what init writes", () => {
  const pki = new Pki();
  const ambient = process.env.KUBECONFIG;
  let host: string;
  before(async () => {
    host = `127.0.0.1:${await unusedPort(pki.server("registry", "IP:127.0.0.1"))}`;
  });
  after(() => {
    if (ambient === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = ambient;
  });
  /** @param contexts - With the namespace of each. */
  const kubeconfig = (contexts?: Readonly<Record<string, string | undefined>>): void => {
    process.env.KUBECONFIG = path.join(pki.folder, "absent");
    if (!contexts) return;
    const entries = Object.entries(contexts).map(([name, namespace]) => ({
      name,
      context: { cluster: "c", user: "u", namespace },
    }));
    process.env.KUBECONFIG = pki.file("kubeconfig", JSON.stringify({ contexts: entries }));
  };
  const draft = async (words: string, base: Draft = {}): Promise<Draft> =>
    await makeDraft(
      readRequest(["dev", ...words.split(" "), "--registry", `${host},ca=file:ca.pem`])!,
      base,
      new Answers(words.includes("--yes")),
    );
  const registries = [
    { host: "", ca: { from: "file", path: "ca.pem" }, credentials: { from: "dockerConfig" } },
  ];
  const expected = (settings: Draft): Draft => ({ ...settings, registries: [{ ...registries[0], host }] });

  it("names contexts that have other names than the defaults, and no others", async () => {
    kubeconfig();
    const plain = "--namespace ns1 --cluster c1";
    assert.deepEqual(await draft(plain), expected({ namespace: "ns1", cluster: "c1" }));
    assert.deepEqual(
      await draft(`${plain} --supervisor-context ns1 --cluster-context c1`),
      expected({ namespace: "ns1", cluster: "c1" }),
    );
    assert.deepEqual(
      await draft(`${plain} --supervisor-context ns1@b --cluster-context c1@b`),
      expected({ namespace: "ns1", cluster: "c1", supervisorContext: "ns1@b", clusterContext: "c1@b" }),
    );
  });

  it("takes a context's namespace where that is named, and guesses no cluster without --yes", async () => {
    kubeconfig({ "ns1@b": "ns1", "c1@b": undefined });
    assert.deepEqual(
      await draft("--supervisor-context ns1@b --cluster c1"),
      expected({ namespace: "ns1", cluster: "c1", supervisorContext: "ns1@b" }),
    );
    await assert.rejects(draft("--access direct"), /--namespace: [^]*--cluster: /);
    const { namespace, supervisorContext, cluster } = await draft("--yes");
    assert.deepEqual([namespace, supervisorContext, cluster], ["ns1", "ns1@b", "c1@b"]);
    kubeconfig({ "ns1@b": "ns1", ns1: "ns1", "c1@b": undefined, c1: undefined });
    await assert.rejects(draft("--yes"), /--namespace: [^]*--cluster: /, "there are two of each");
  });

  it("has the way to the nodes: another environment's bastion goes with its own host key alone", async () => {
    kubeconfig();
    const place = "--namespace ns1 --cluster c1";
    const hostKey = `SHA256:${"a".repeat(43)}`;
    const bastion = { host: "bastion.example", port: 2222, user: "ops", hostKey, sshKeyFile: "~/.ssh/ops" };
    assert.deepEqual(
      await draft(`${place} --bastion ops@h.example --bastion-host-key ${hostKey} --bastion-key k`),
      expected({
        ...{ namespace: "ns1", cluster: "c1", access: "bastion" },
        bastion: { host: "h.example", user: "ops", hostKey, sshKeyFile: "k" },
      }),
    );
    const base = { access: "bastion", bastion };
    const way = { namespace: "ns1", cluster: "c1", access: "bastion", bastion };
    assert.deepEqual(await draft(place, base), expected(way));
    await assert.rejects(
      draft(`${place} --bastion ops@other.example`, base),
      /^UserError: --bastion-host-key: /,
    );
    assert.deepEqual(
      await draft(`${place} --access direct`, base),
      expected({ namespace: "ns1", cluster: "c1", access: "direct" }),
    );
  });

  it("has the Deployment that is named, or the other environment's, or none", async () => {
    kubeconfig();
    const place = "--namespace ns1 --cluster c1";
    const deployment = async (words: string, base?: Draft): Promise<unknown> =>
      (await draft(`${place}${words}`, base && { deployment: base }))["deployment"];
    assert.equal(await deployment(""), undefined);
    assert.deepEqual(await deployment("", { port: 8080 }), { port: 8080 });
    assert.deepEqual(await deployment(" --image h/i:1", { enabled: false, port: 8080 }), {
      ...{ enabled: true, port: 8080, image: "h/i:1" },
    });
    assert.deepEqual(await deployment(" --no-deployment", { port: 8080 }), { enabled: false, port: 8080 });
    assert.deepEqual(await deployment(" --yes"), { image: `${host}/ns1/nginx:latest` });
  });
});
