import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";
import { faultWords, fleetNodes, freeFleetAddress, readAddedFiles, readEvents } from "../../../lab/fleet";
import { fleet, fleetLimit, fleetNetwork, networks } from "../../../lab/topology";

const within = (subnet: string): BlockList => {
  const list = new BlockList();
  const [base, prefix] = subnet.split("/") as [string, string];
  list.addSubnet(base, Number(prefix));
  return list;
};

test("the nodes of a fleet are the same ones each time, and no two share a name, an address or a machine id", () => {
  const nodes = fleetNodes(fleetLimit);
  assert.deepEqual(fleetNodes(8), nodes.slice(0, 8));
  for (const key of ["name", "address", "machineId"] as const)
    assert.equal(new Set(nodes.map((node) => node[key])).size, fleetLimit, key);
  assert.deepEqual(
    nodes.filter(({ controlPlane }) => controlPlane).map(({ name }) => name),
    [nodes[0]!.name],
  );
});

test("the first nodes of a fleet are its control plane, as many as were asked for", () => {
  const nodes = fleetNodes(5, 3);
  assert.deepEqual(
    nodes.map(({ controlPlane }) => controlPlane),
    [true, true, true, false, false],
  );
  assert.equal(new Set(nodes.map(({ name }) => name)).size, 5);
  assert.deepEqual(nodes.slice(3), fleetNodes(5).slice(3));
});

test("a node that is added gets the first address that no other has, as long as there is one", () => {
  const addresses = fleetNodes(fleetLimit).map(({ address }) => address);
  assert.equal(freeFleetAddress(addresses.filter((_, index) => index !== 7)), addresses[7]);
  assert.throws(() => freeFleetAddress(addresses));
});

test("faults that aren't asked for are none", () => {
  assert.deepEqual(faultWords({}), ["0", "-1", "-1", "0"]);
  assert.deepEqual(faultWords({ delayMs: 20, lossPercent: 25 }), ["20", "-1", "-1", "0.25"]);
  assert.deepEqual(faultWords({ cutAfterBytes: 1500, cutFirst: 2 }), ["0", "1500", "2", "0"]);
  assert.deepEqual(faultWords({ cutFirst: 2 }), faultWords({}));
  assert.ok(Number(faultWords({ cutAfterBytes: 0 })[2]) > 1e6, "all connections are cut");
});

test("every node of a fleet is on its network, where nobody else is", () => {
  const own = within(fleetNetwork.subnet);
  const taken: string[] = [fleet.address, fleetNetwork.gateway];
  for (const { address } of fleetNodes(fleetLimit)) {
    assert.ok(own.check(address) && !taken.includes(address), address);
  }
  const others = networks.filter((network) => network !== fleetNetwork);
  for (const address of taken) {
    assert.ok(own.check(address), address);
    assert.ok(!others.some(({ subnet }) => within(subnet).check(address)), address);
  }
});

test("the nodes' logs are read in the order of each node's events", () => {
  const output = [
    "fleet-worker-002/written/var/log/lab/events:rehash 12.34 aa bb ",
    "fleet-worker-002/written/var/log/lab/events:restart 12.70",
    "fleet-worker-003/written/var/log/lab/events:rehash 13.00 ",
    "",
  ].join("\n");
  assert.deepEqual(readEvents(output), [
    { node: "fleet-worker-002", kind: "rehash", at: 12.34, seen: ["aa", "bb"] },
    { node: "fleet-worker-002", kind: "restart", at: 12.7, seen: [] },
    { node: "fleet-worker-003", kind: "rehash", at: 13, seen: [] },
  ]);
  assert.deepEqual(readEvents(""), []);
});

test("the files that were added to trust stores are told by node", () => {
  const [one, two] = ["1".repeat(64), "2".repeat(64)];
  const output = [
    `${one}  fleet-worker-002/written/etc/ssl/certs/a.pem`,
    `${two}  fleet-worker-002/written/etc/ssl/certs/b.crt`,
    `${one}  fleet-worker-003/written/etc/ssl/certs/a.pem`,
  ].join("\n");
  assert.deepEqual(
    [...readAddedFiles(output)],
    [
      ["fleet-worker-002", [one, two]],
      ["fleet-worker-003", [one]],
    ],
  );
});
