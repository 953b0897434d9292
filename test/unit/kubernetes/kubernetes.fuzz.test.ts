import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type KubeconfigEntry, mergeKubeconfig, parseKubeconfigYaml } from "../../../kubernetes/kubeconfig";
import { readNodes } from "../../../kubernetes/nodes";
import { attachPatch, detachPatch, formatState, parseState } from "../../../kubernetes/serviceAccount";
import type { ClusterNode } from "../../../kubernetes/types";
import { nodeState } from "../../../nodes/operations/ready";
import { hostile, hostileJson, readOrTold, readOrToldLater, runs, secret } from "../../fuzz";

const blockList = (family: "ipv4" | "ipv6", networks: Readonly<Record<string, number>>): BlockList => {
  const list = new BlockList();
  for (const [network, prefix] of Object.entries(networks)) list.addSubnet(network, prefix, family);
  return list;
};
/**
 * IANA's ranges of addresses that no node is reached at, judged by Node.js: the product asks ipaddr.js. A list for each
 * family, as to Node.js every IPv4 address is in `::ffff:0:0/96`.
 */
const unreachable = {
  ipv4: blockList("ipv4", {
    "0.0.0.0": 8,
    "127.0.0.0": 8,
    "169.254.0.0": 16,
    "224.0.0.0": 4,
    "255.255.255.255": 32,
  }),
  ipv6: blockList("ipv6", { "::": 127, "::ffff:0:0": 96, "fe80::": 10, "ff00::": 8 }),
};

/** What becomes a resource's name, an argument and an address. */
function assertNode(node: ClusterNode): void {
  assert.match(node.name, /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/);
  assert.match(node.uid, /^[A-Za-z0-9-]{1,64}$/);
  assert.match(node.machineId, /^[0-9A-Fa-f-]{32,36}$/);
  assert.match(node.containerRuntime, /^[\x21-\x7e]{1,130}$/);
  assert.doesNotMatch(node.osImage, /[\p{C}\p{Zl}\p{Zp}]/u);
  const family = isIP(node.address);
  assert.notEqual(family, 0, node.address);
  const { hostname } = new URL(`http://${family === 6 ? `[${node.address}]` : node.address}`);
  assert.equal(hostname.replace(/^\[|\]$/g, ""), node.address);
  const range = family === 6 ? "ipv6" : "ipv4";
  assert.ok(!unreachable[range].check(node.address, range), node.address);
}

describe("hostile Node objects", () => {
  const value = fc.oneof(hostile, hostileJson);
  const valid = {
    metadata: { name: "node-1", uid: "0b3e1c1c-0000-4000-8000-000000000001", labels: { a: "b" } },
    status: {
      addresses: [{ type: "InternalIP", address: "10.0.0.1" }],
      conditions: [{ type: "Ready", status: "True" }],
      nodeInfo: {
        machineID: "ec2a5a6c1f1a4b1d8f9a5a6c1f1a4b1d",
        osImage: "VMware Photon OS/Linux",
        containerRuntimeVersion: "containerd://1.2.10",
      },
    },
  };
  const places = [
    ...[
      ["metadata"],
      ["metadata", "name"],
      ["metadata", "uid"],
      ["metadata", "labels"],
      ["metadata", "labels", "a"],
    ],
    ...[
      ["status"],
      ["status", "addresses"],
      ["status", "addresses", 0, "address"],
      ["status", "addresses", 0, "type"],
    ],
    ...[
      ["status", "conditions"],
      ["status", "conditions", 0, "status"],
      ["status", "nodeInfo"],
    ],
    ...["machineID", "osImage", "containerRuntimeVersion"].map((field) => ["status", "nodeInfo", field]),
  ];
  const changed = fc.tuple(fc.constantFrom(...places), value).map(([path, what]) => {
    const copy = structuredClone(valid) as object;
    let at = copy as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
    at[path.at(-1)!] = what;
    return copy;
  });

  it("are read only where every value is a plain one, and else refused in clear lines", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 4, arbitrary: changed }, hostileJson), { maxLength: 3 }),
        hostile,
        (items, context) => {
          readOrTold(() => readNodes(items, context))?.forEach(assertNode);
          for (const item of items) readOrTold(() => nodeState(item));
        },
      ),
      runs("nodes"),
    );
  });

  it("have addresses that mean one thing to everybody, and not this machine", () => {
    const octet = fc.oneof(
      fc.nat({ max: 300 }).map(String),
      fc.constantFrom("01", "0x7f", "127", "0", "255", "169", "254"),
    );
    const address = fc.oneof(
      fc.array(octet, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(".")),
      fc.ipV4Extended(),
      fc.ipV6(),
      fc
        .tuple(
          fc.constantFrom("::ffff:", "::", "fe80::", "ff02::", "::ffff:0:", "64:ff9b::"),
          fc.oneof(fc.ipV4(), fc.constant("1")),
        )
        .map((parts) => parts.join("")),
      fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), hostile).map((parts) => parts.join("")),
      fc.tuple(hostile, fc.oneof(fc.ipV4(), fc.ipV6())).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.array(address, { minLength: 1, maxLength: 3 }), (addresses) => {
        const item = structuredClone(valid);
        item.status.addresses = addresses.map((each) => ({ type: "InternalIP", address: each }));
        readOrTold(() => readNodes([item], "c"))?.forEach(assertNode);
      }),
      runs("node addresses"),
    );
  });
});

describe("a hostile kubeconfig", () => {
  const oneLine = (text: string): string => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "") || "x";
  const entry: fc.Arbitrary<KubeconfigEntry> = fc.record({
    context: fc.oneof(fc.constantFrom("ns1", "__proto__"), hostile).map(oneLine),
    namespace: fc.constant("ns1"),
    cluster: fc.oneof(fc.constantFrom("10.0.0.1", "[fd00::1]:8443"), hostile).map(oneLine),
    server: fc.constantFrom("https://10.0.0.1:6443", "https://[fd00::1]:8443"),
    ca: fc.constantFrom([], ["-----BEGIN CERTIFICATE-----\n"]),
    user: hostile.map((text) => `wcp:10.0.0.1:${oneLine(text)}`),
    token: fc.stringMatching(/^[\x21-\x7e]{1,40}$/),
  });
  const named = (field: string): fc.Arbitrary<object> =>
    fc.record(
      { name: hostile, [field]: hostileJson, other: hostileJson },
      { requiredKeys: ["name"], noNullPrototype: true },
    );
  const whole = fc.record(
    {
      ...{ apiVersion: fc.constant("v1"), kind: fc.constant("Config"), "current-context": hostile },
      ...{ preferences: hostileJson, extensions: hostileJson },
      clusters: fc.array(named("cluster"), { maxLength: 3 }),
      contexts: fc.array(named("context"), { maxLength: 3 }),
      users: fc.array(named("user"), { maxLength: 3 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const options = { file: "config", force: true };
  type Config = Record<string, unknown> &
    Record<"clusters" | "contexts" | "users", { name: string }[] | undefined>;

  it("is merged or refused in clear lines without a word of what is in it", async () => {
    const snippets = fc.constantFrom(
      "users:\n",
      "- name: ",
      "  user: {token: ",
      "}\n",
      "&a ",
      "*a",
      "<<: *a\n",
      "!!binary ",
      "!!js/function ",
      "? ",
      "---\n",
      "\t",
      "%YAML 9\n",
    );
    const text = fc.oneof(
      {
        weight: 10,
        arbitrary: fc.array(fc.oneof(snippets, hostile), { maxLength: 8 }).map((parts) => parts.join("")),
      },
      { weight: 10, arbitrary: hostileJson.map((value) => JSON.stringify(value)) },
      fc.constantFrom("[", "{a: ", "- ", "&a [", "- &a [*a, *a]\n").map((part) => part.repeat(3000)),
    );
    await fc.assert(
      fc.asyncProperty(text, entry, fc.boolean(), secret, async (given, mine, force, hidden) => {
        for (const each of [
          `${given}\n# ${hidden}`,
          `users: [{name: ${JSON.stringify(mine.user)}, user: {token: ${hidden}}}]\n${given}`,
          `${hidden}: ${given}`,
        ]) {
          const merged = await readOrToldLater(
            () => mergeKubeconfig(each, [mine], { file: "config", force }),
            [hidden, mine.token.length > 8 ? mine.token : hidden],
          );
          if (merged !== undefined) await parseKubeconfigYaml(merged, "config");
        }
      }),
      runs("kubeconfig"),
    );
  });

  it("keeps all that is not ours, and gives back what was put in", async () => {
    await fc.assert(
      fc.asyncProperty(whole, entry, async (config, mine) => {
        const text = JSON.stringify(config);
        const merged = await readOrToldLater(
          () => mergeKubeconfig(text, [mine], options),
          [mine.token.length > 8 ? mine.token : "hunter2"],
        );
        if (merged === undefined) return;

        const before = JSON.parse(text) as Config;
        const after = (await parseKubeconfigYaml(merged, "config")) as Config;
        const again = await mergeKubeconfig(merged, [mine], options);
        assert.deepEqual(
          await parseKubeconfigYaml(again, "config"),
          after,
          "the second time changes nothing",
        );
        const find = (list: "clusters" | "contexts" | "users", name: string, field: string): unknown =>
          (after[list]!.find((each) => each.name === name) as unknown as Record<string, unknown>)[field];
        assert.deepEqual(find("users", mine.user, "user"), { token: mine.token });
        const context = find("contexts", mine.context, "context") as Record<string, unknown>;
        assert.deepEqual(
          [context["cluster"], context["user"], context["namespace"]],
          [mine.cluster, mine.user, "ns1"],
        );
        const cluster = find("clusters", mine.cluster, "cluster") as Record<string, unknown>;
        assert.equal(cluster["server"], mine.server);
        assert.ok(!("insecure-skip-tls-verify" in cluster));
        for (const [list, name] of [
          ["clusters", mine.cluster],
          ["contexts", mine.context],
          ["users", mine.user],
        ] as const) {
          const others = (all: Config): unknown[] => (all[list] ?? []).filter((each) => each.name !== name);
          assert.deepEqual(plain(others(after)), plain(others(before)));
        }
        for (const key of ["preferences", "extensions"] as const)
          assert.deepEqual(plain(after[key]), plain(before[key]));
      }),
      runs("kubeconfig entries"),
    );
  });

  /** YAML has no -0, and a member `__proto__` is nobody's. */
  const plain = (value: unknown): unknown =>
    value === undefined
      ? undefined
      : JSON.parse(JSON.stringify(value, (key, item: unknown) => (key === "__proto__" ? undefined : item)));
});

describe("a hostile ServiceAccount", () => {
  it("keeps everybody else's pull secrets, whatever they and ours are called", () => {
    const account = fc.record({
      metadata: fc.record(
        {
          resourceVersion: fc.constant("1"),
          annotations: fc.dictionary(hostile, hostile, { maxKeys: 2, noNullPrototype: true }),
        },
        { requiredKeys: ["resourceVersion"], noNullPrototype: true },
      ),
      imagePullSecrets: fc.array(
        hostile.map((name) => ({ name })),
        { maxLength: 3 },
      ),
    });
    fc.assert(
      fc.property(account, fc.stringMatching(/^[a-z]([a-z0-9.-]{0,20}[a-z0-9])?$/), (before, name) => {
        for (const { op, path, value } of attachPatch(before, name)) {
          assert.ok(["test", "add", "replace", "remove"].includes(op));
          if (path.startsWith("/imagePullSecrets"))
            assert.deepEqual([op, path, value], ["add", "/imagePullSecrets/-", { name }]);
        }
        for (const { op, path, value } of detachPatch(before, name)) {
          if (!path.startsWith("/imagePullSecrets") || op === "remove") continue;
          assert.deepEqual(
            value,
            before.imagePullSecrets.filter((each) => each.name !== name),
          );
        }
        const state = {
          namespace: name,
          serviceAccount: "default",
          pullSecret: name,
          preexisting: name.length % 2 === 0,
        };
        assert.deepEqual(parseState(formatState(state)), state);
        for (const { name: theirs } of before.imagePullSecrets) {
          const read = parseState(`${theirs}\nnamespace=${theirs}\nservice-account=${theirs}\npull-secret=x`);
          for (const each of read ? [read.namespace, read.serviceAccount] : [])
            assert.match(each, /^[a-z0-9][a-z0-9.-]*$/);
        }
      }),
      runs("patches of a ServiceAccount's list"),
    );
  });
});
