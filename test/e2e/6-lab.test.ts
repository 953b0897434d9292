import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import * as path from "node:path";
import { describe, test } from "node:test";
import { exec } from "../../lab/exec";
import { kubectl } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { labFolder, projectRoot, runFolder } from "../../lab/paths";

const mountsOfTheLab = (): string[] =>
  readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(labFolder) || line.includes("/run/tkc-lab"));

/** What runs from the lab's folder or for its machines, found by command line, program and folder. */
function processesOfTheLab(): string[] {
  const mine = new Set([String(process.pid), String(process.ppid)]);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && !mine.has(name))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        const places = [readlinkSync(`/proc/${pid}/exe`), readlinkSync(`/proc/${pid}/cwd`)];
        return /tkc-lab-|\/\.lab\/run/.test(command) || places.some((place) => place.startsWith(runFolder));
      } catch {
        return false; // it has ended, or is the kernel's own
      }
    });
}

/** The last tests: they take the lab down. */
describe("the lab itself", () => {
  test("a replaced node is another machine of the same name", async () => {
    const worker = (await lab.nodes()).find((node) => node.role === "worker")!;
    const ask = async (): Promise<string[]> => [
      await kubectl("workload", "get", "node", worker.name, "-o", "jsonpath={.metadata.uid}"),
      await lab.nodeExec(worker.name, ["cat", "/etc/machine-id"]),
      await lab.nodeExec(worker.name, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]),
    ];
    const before = await ask();
    const { address } = await lab.replaceNode(worker.name);
    assert.equal(address, worker.address);
    (await ask()).forEach((value, index) => assert.notEqual(value, before[index]));
  });

  test("a rotated registry has another authority, and works with it", async () => {
    const before = lab.registries().harbor.caSha256;
    assert.notEqual((await lab.rotateCa("harbor")).caSha256, before);
    assert.ok((await lab.status()).registries.every(({ healthy }) => healthy));
  });

  test("a second clone's lab says at once which folder holds this one", async () => {
    const clone = mkdtempSync(path.join(tmpdir(), "clone-"));
    const sources = readdirSync(path.join(projectRoot, "lab"))
      .filter((name) => name !== path.basename(labFolder))
      .map((name) => path.join("lab", name));
    for (const name of [...sources, "errors.ts", "build.ts", "package.json", "tsconfig.json"])
      cpSync(path.join(projectRoot, name), path.join(clone, name), { recursive: true });
    symlinkSync(path.join(projectRoot, "node_modules"), path.join(clone, "node_modules"));
    const { code, stderr } = await exec("node", ["--import", "tsx", "lab/main.ts", "up"], {
      cwd: clone,
      allowFailure: true,
      timeout: 60,
    });
    assert.notEqual(code, 0);
    assert.ok(stderr.includes(projectRoot), stderr);
  });

  test("killed with everything in it, which stands for a reboot, it comes back as it was", async () => {
    const before = await lab.nodes();
    await lab.killProcesses();
    await lab.up();
    assert.deepEqual(await lab.nodes(), before);
    const { machines, nodes, registries } = await lab.status();
    for (const { name, detail, healthy } of [...machines, ...nodes, ...registries])
      assert.ok(healthy, `${name}: ${detail}`);
  });

  test("down leaves no process, mount, network or file", async () => {
    await lab.down();
    assert.deepEqual(processesOfTheLab(), []);
    assert.deepEqual(mountsOfTheLab(), []);
    assert.deepEqual(
      Object.keys(networkInterfaces()).filter((name) => name.startsWith("tkc-lab")),
      [],
    );
    assert.deepEqual(
      readdirSync("/run").filter((name) => name.startsWith("tkc-lab")),
      [],
    );
    assert.ok(!existsSync(runFolder));
  });
});
