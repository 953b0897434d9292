import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  controlPlaneAddress,
  controlPlaneName,
  freeNodeAddress,
  management,
  nodePodSubnet,
  operator,
  poolName,
  randomSuffix,
  registryAddresses,
  supervisor,
  workerName,
  workload,
} from "../../../lab/topology";

function contains(subnet: string, address: string): boolean {
  const [base, prefix] = subnet.split("/") as [string, string];
  const list = new BlockList();
  list.addSubnet(base, Number(prefix));
  return list.check(address);
}

test("every address of the lab is of its own network, and none is given twice", () => {
  const registries = Object.values(registryAddresses).map(({ address }) => address);
  const managed = [operator.address, supervisor.address, management.gateway, ...registries];
  assert.equal(new Set(managed).size, managed.length);
  for (const address of managed) assert.ok(contains(management.subnet, address), address);
  for (const address of [controlPlaneAddress, workload.gateway]) {
    assert.ok(contains(workload.subnet, address), address);
  }
});

test("a new node gets an address of the workload network that no other has, as long as there is one", () => {
  const taken = [controlPlaneAddress];
  for (;;) {
    let address: string;
    try {
      address = freeNodeAddress(taken);
    } catch {
      break;
    }
    assert.ok(contains(workload.subnet, address) && !taken.includes(address) && address !== workload.gateway);
    taken.push(address);
  }
  assert.ok(taken.length > 200);
});

test("an address that was given back is given again", () => {
  const first = freeNodeAddress([]);
  assert.notEqual(freeNodeAddress([first]), first);
  assert.equal(freeNodeAddress([controlPlaneAddress]), first);
});

test("pods of different machines have different subnets, none of them a machines' network", () => {
  const addresses = [controlPlaneAddress];
  for (let count = 0; count < 50; count++) addresses.push(freeNodeAddress(addresses));
  const subnets = [supervisor.podSubnet, management.subnet, workload.subnet, ...addresses.map(nodePodSubnet)];
  assert.equal(new Set(subnets).size, subnets.length);
});

test("names look as those of a Tanzu Kubernetes cluster do", () => {
  assert.match(controlPlaneName(), /^tkc-cluster-1-control-plane-[a-z0-9]{5}$/);
  assert.match(workerName(poolName()), /^tkc-cluster-1-workers-[a-z0-9]{5}-[a-z0-9]{10}-[a-z0-9]{5}$/);
});

test("a random suffix is a DNS label part of the length asked for, whatever the random numbers", () => {
  const number = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), number, (length, value) => {
      assert.match(
        randomSuffix(length, () => value),
        new RegExp(`^[bcdfghjklmnpqrstvwxz2456789]{${length}}$`),
      );
    }),
  );
});
