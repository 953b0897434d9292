import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readNodes } from "../../../kubernetes/nodes";
import { UserError } from "../../../support/errors";
import { problem } from "../../integration/net/server";

interface Shape {
  name?: unknown;
  labels?: Record<string, string>;
  addresses?: unknown;
  uid?: unknown;
  machineID?: unknown;
  osImage?: string;
  runtime?: unknown;
  ready?: string;
}

const node = (shape: Shape = {}): unknown => ({
  metadata: {
    name: shape.name ?? "tkc-cluster-1-workers-pn7j8-5b5498b7d5-frgh4",
    uid: shape.uid ?? "0b3e1c1c-0000-4000-8000-000000000001",
    labels: shape.labels ?? {},
    creationTimestamp: new Date(),
  },
  status: {
    addresses: shape.addresses ?? [
      { type: "Hostname", address: "frgh4" },
      { type: "InternalIP", address: "10.244.1.35" },
    ],
    conditions: [
      { type: "MemoryPressure", status: "False" },
      { type: "Ready", status: shape.ready ?? "True" },
    ],
    nodeInfo: {
      machineID: shape.machineID ?? "ec2a5a6c1f1a4b1d8f9a5a6c1f1a4b1d",
      osImage: shape.osImage ?? "VMware Photon OS/Linux",
      containerRuntimeVersion: shape.runtime ?? "containerd://1.2.10",
      architecture: "amd64",
    },
  },
});
const internal = (...addresses: string[]): unknown[] =>
  addresses.map((address) => ({ type: "InternalIP", address }));
const read = (...items: unknown[]): ReturnType<typeof readNodes> => readNodes(items, "tkc-cluster-1");

describe("the cluster's nodes", () => {
  it("are read with all that the stack needs, in the order of their names", () => {
    const nodes = read(
      node({ name: "b", addresses: internal("10.0.0.2"), ready: "Unknown" }),
      node({
        name: "c",
        addresses: internal("10.0.0.3"),
        labels: { "node-role.kubernetes.io/control-plane": "" },
      }),
      node({ name: "a", addresses: internal("10.0.0.1"), labels: { "node-role.kubernetes.io/master": "" } }),
    );
    assert.deepEqual(
      nodes.map(({ name, role, ready }) => [name, role, ready]),
      [
        ["a", "control-plane", true],
        ["b", "worker", false],
        ["c", "control-plane", true],
      ],
    );
    assert.deepEqual(nodes[0], {
      name: "a",
      uid: "0b3e1c1c-0000-4000-8000-000000000001",
      machineId: "ec2a5a6c1f1a4b1d8f9a5a6c1f1a4b1d",
      hostName: "a",
      role: "control-plane",
      address: "10.0.0.1",
      osImage: "VMware Photon OS/Linux",
      containerRuntime: "containerd://1.2.10",
      architecture: "amd64",
      ready: true,
      labels: { "node-role.kubernetes.io/master": "" },
      pins: {},
    });
  });

  it("have the host key that each stack noted on them, and nothing that is none", () => {
    const [one, two] = [`SHA256:${"A".repeat(43)}`, `SHA256:${"b/+".repeat(14)}8`];
    const annotated = node() as { metadata: object };
    const annotations = {
      "tkc-registry/host-key.0123456789abcdef": one,
      "tkc-registry/host-key.3e0f1f4e-0000-4000-8000-000000000001": two,
      "tkc-registry/host-key.other": "SHA256:$(id)",
      "tkc-registry/image-pull-secrets": "a",
    };
    const [listed] = read({ ...annotated, metadata: { ...annotated.metadata, annotations } });
    assert.deepEqual(listed?.pins, {
      "0123456789abcdef": one,
      "3e0f1f4e-0000-4000-8000-000000000001": two,
    });
  });

  it("have their IPv4 address where there are several, else their IPv6 one", () => {
    assert.equal(
      read(node({ addresses: internal("fd00::1", "10.0.0.1", "10.0.0.2") }))[0]!.address,
      "10.0.0.1",
    );
    assert.equal(read(node({ addresses: internal("fd00:0::1") }))[0]!.address, "fd00::1");
  });

  it("have the host name that their kubelets report, and else their own", () => {
    const hostNames = (address: string): string =>
      read(node({ name: "a", addresses: [...internal("10.0.0.1"), { type: "Hostname", address }] }))[0]!
        .hostName;
    assert.equal(hostNames("vm-a.example.com"), "vm-a.example.com");
    // As they are compared.
    assert.equal(hostNames("VM-A"), "vm-a");
    for (const bad of ["", "-x", "a b", "a\n"]) assert.equal(hostNames(bad), "a");
  });

  it("must be some", () => {
    assert.throws(() => read(), problem("no-nodes", /context tkc-cluster-1/));
  });

  it("must have an InternalIP, which is named for each that has none", () => {
    const addresses = [{ type: "Hostname", address: "a" }];
    assert.throws(
      () => read(node({ name: "a", addresses }), node({ name: "b", addresses: [] }), node({ name: "c" })),
      (error: UserError) =>
        problem("node-without-address", /node a: /, /node b: /)(error) && error.problems.length === 2,
    );
  });

  it("are refused with an address that none can have", () => {
    const bad = [
      ...[
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "::ffff:10.0.0.1",
      ],
      ...[
        "010.0.0.1",
        "0x0a000001",
        "10.1",
        "10.0.0.1; reboot",
        "-oProxyCommand=x",
        "node.example.com",
        "",
        "fd00::1%eth0",
      ],
    ];
    for (const address of bad) {
      assert.throws(() => read(node({ addresses: internal(address) })), problem("node-address"), address);
    }
    assert.throws(() => read(node({ name: "a" }), node({ name: "b" })), problem("node-address", /as a has/));
  });

  it("are refused with names or ids that would mean something to a shell or a path", () => {
    const bad: Shape[] = [
      { name: "../etc" },
      { name: "a b" },
      { name: "A" },
      { name: "-rf" },
      { name: "" },
      { name: "a".repeat(254) },
      { name: 5 },
      { uid: "$(id)" },
      { uid: "" },
      { machineID: "" },
      { machineID: "x".repeat(32) },
      { runtime: "containerd" },
      { runtime: "containerd://1\n2" },
      { addresses: "10.0.0.1" },
    ];
    for (const shape of bad)
      assert.throws(() => read(node(shape)), problem("node-malformed"), JSON.stringify(shape));
    assert.equal(read(node({ osImage: "Evil\n\u001b[2JOS" }))[0]!.osImage, "Evil [2JOS");
  });
});
