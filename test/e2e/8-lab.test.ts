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
import { connect } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { labProcesses } from "../../lab/cgroups";
import { exec, type ExecOptions, type ExecResult } from "../../lab/exec";
import type { Fleet, FleetNode } from "../../lab/fleet";
import { kubectl } from "../../lab/inspect";
import * as lab from "../../lab/lab";
import { labFolder, projectRoot, runFolder } from "../../lab/paths";
import { isDefunct } from "../../lab/processes";
import { testOfAll } from "../all";

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

/** What an SSH server says first, if more follows within so many seconds; or why it doesn't. */
async function banner(host: string, seconds = 30): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port: 22, timeout: seconds * 1000 });
    let said = "";
    const end = (answer: string) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("data", (data: Buffer) => {
      said += data.toString("latin1");
      if (/\n[^]/.test(said)) end(said.slice(0, 7))();
    });
    socket
      .once("timeout", () => end(said === "" ? "silence" : `nothing after ${said}`)())
      .once("close", () => end(`closed after ${said}`)())
      .once("error", (error: NodeJS.ErrnoException) => end(error.code!)());
    socket.once("connect", () => socket.write("SSH-2.0-test\r\n"));
  });
}

/** `npm run lab -- ARGS…`, as a person who has no terminal types it. */
const npmRunLab = (args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> =>
  exec("npm", ["run", "--silent", "lab", "--", ...args], {
    cwd: projectRoot,
    allowFailure: true,
    timeout: 300,
    ...options,
  });

/** The last tests: they take the lab down. What most of its verbs do shows in the tests of the stack, which need it. */
describe("the lab itself", () => {
  describe("for people", () => {
    test("shell runs a command as root on a machine, and gives its output and exit code", async () => {
      const { name } = (await lab.nodes()).find((node) => node.role === "control-plane")!;
      const here = await npmRunLab(["shell", "control-plane", "--", "sh", "-c", "id -un; hostname; exit 7"]);
      assert.deepEqual([here.code, here.stdout], [7, `root\n${name}\n`], here.stderr);
      for (const machine of ["supervisor", "registries"]) {
        const there = await npmRunLab(["shell", machine, "--", "hostname"]);
        assert.deepEqual([there.code, there.stdout], [0, `${machine}\n`], there.stderr);
      }
    });

    test("shell without a command is a shell, which reads what there is to read", async () => {
      const { code, stdout, stderr } = await npmRunLab(["shell", "supervisor"], {
        input: "hostname\nexit 3\n",
      });
      assert.deepEqual([code, stdout], [3, "supervisor\n"], stderr);
    });

    test("shell lists the machines to whoever names none of them", async () => {
      const { code, stderr } = await npmRunLab(["shell", "jumpbox"]);
      assert.equal(code, 1);
      for (const { name } of await lab.nodes()) assert.ok(stderr.includes(name), stderr);
      assert.match(stderr, /supervisor, registries/);
    });

    test("env sets a shell up for the lab, with nothing of npm's, no stack selected and no password", async () => {
      const script = `
        eval "$(npm run --silent lab -- env)"
        echo "path $PATH"
        echo "selected \${PULUMI_STACK-none}"
        echo "namespace $(pulumi config get namespace --stack lab --config-file "$TKC_LAB_SETTINGS")"
        pulumi stack init people >&2 && echo "mine $(pulumi stack --show-name)"
        pulumi stack rm --yes people >&2
        kubectl --context tkc-cluster-1 get nodes -o name
        env`;
      const { stdout, stderr } = await exec("sh", ["-c", script], { cwd: projectRoot, timeout: 300 });
      const said = (word: string): string | undefined => new RegExp(`^${word} (.*)$`, "m").exec(stdout)?.[1];
      assert.doesNotMatch(said("path")!, /node-gyp-bin/);
      assert.equal(said("selected"), "none", stderr);
      assert.equal(said("namespace"), "ns1", stderr);
      assert.equal(said("mine"), "people", stderr);
      for (const { name } of await lab.nodes()) assert.ok(stdout.includes(`node/${name}\n`), stdout);
      assert.ok(!stdout.includes(lab.supervisorLogin().password));
      assert.ok(!existsSync(path.join(projectRoot, "Pulumi.lab.yaml")));
    });

    test("login logs in anew", async () => {
      const { env } = await lab.operator();
      const read = (): string => readFileSync(env["KUBECONFIG"]!, "utf8");
      const before = read();
      const { code, stdout, stderr } = await npmRunLab(["login"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /tkc-cluster-1/);
      assert.notEqual(read(), before);
    });
  });

  testOfAll("a replaced node is another machine of the same name", async () => {
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

  testOfAll("a rotated registry has another authority, and works with it", async () => {
    const before = lab.registries().harbor.caSha256;
    assert.notEqual((await lab.rotateCa("harbor")).caSha256, before);
    assert.ok((await lab.status()).registries.every(({ healthy }) => healthy));
  });

  testOfAll("a registry's next authority is the one that a rotation brings, and no later one", async () => {
    const { caSha256 } = await lab.nextCa("custom");
    assert.notEqual(lab.registries().custom.caSha256, caSha256);
    assert.equal((await lab.nextCa("custom")).caSha256, caSha256);
    assert.equal((await lab.rotateCa("custom")).caSha256, caSha256);
    assert.notEqual((await lab.nextCa("custom")).caSha256, caSha256);
  });

  testOfAll("a cluster that is deleted is gone, and one that is created is another of its name", async () => {
    const asOperator = async (context: string, ...args: string[]): Promise<string> => {
      const { env } = await lab.operator();
      const all = ["--context", context, "--request-timeout", "10s", ...args];
      return (await exec("kubectl", all, { env, allowFailure: true })).stdout;
    };
    const ask = async (): Promise<string[]> => [
      await asOperator(
        "ns1",
        "get",
        "tanzukubernetescluster",
        "tkc-cluster-1",
        "-o",
        "jsonpath={.metadata.uid}",
      ),
      await asOperator("ns1", "get", "secret", "tkc-cluster-1-ssh", "-o", "jsonpath={.data}"),
      await asOperator("tkc-cluster-1", "get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}"),
    ];
    const [before, nodes] = [await ask(), await lab.nodes()];
    await lab.deleteCluster();
    assert.deepEqual(await ask(), ["", "", ""]);
    assert.ok(!(await lab.isUp()));
    await lab.createCluster();
    assert.ok(await lab.isUp());
    assert.deepEqual(await lab.nodes(), nodes);
    (await ask()).forEach((value, index) => assert.ok(value !== "" && value !== before[index]));
  });

  describe("a fleet", () => {
    let fleet: Fleet;
    const identity = async (node: FleetNode): Promise<string[]> =>
      (await fleet.onNode(node, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")).split("\n");

    before(async () => {
      fleet = await lab.fleetUp(4, { controlPlanes: 3 });
    });
    after(() => lab.fleetDown());

    testOfAll("has as many control-plane nodes as were asked for", () => {
      assert.equal(fleet.nodes.filter(({ controlPlane }) => controlPlane).length, 3);
    });

    testOfAll(
      "keeps what a node wrote while its power is cut, and nothing of one that is replaced",
      async () => {
        const node = fleet.nodes[3]!;
        await fleet.onNode(node, "touch /etc/ssl/certs/.tkc-registry-a.new; systemctl restart containerd");
        const before = await identity(node);
        await fleet.stop(node);
        assert.equal(await banner(node.address), "ECONNREFUSED");
        await fleet.start(node);
        assert.deepEqual(await identity(node), before);
        assert.equal((await fleet.events()).length, 1);
        assert.deepEqual((await fleet.leftovers()).get(node.name)?.asides, [
          "/etc/ssl/certs/.tkc-registry-a.new",
        ]);
        const [anew] = await fleet.replace(node);
        (await identity(anew!)).slice(0, 2).forEach((value, index) => assert.notEqual(value, before[index]));
        assert.deepEqual((await fleet.leftovers()).get(node.name)?.asides, []);
      },
    );

    testOfAll("gives a removed node's address to another", async () => {
      const { name, address } = fleet.nodes[3]!;
      await fleet.remove(fleet.nodes[3]!);
      assert.equal(await banner(address), "ECONNREFUSED");
      const added = await fleet.add({ address });
      assert.notEqual(added.name, name);
      assert.equal(await banner(address), "SSH-2.0");
    });

    testOfAll("has a containerd that fails where it is told to, and says why", async () => {
      const [node] = fleet.nodes;
      await fleet.breakContainerd(node!, "fails");
      const restart =
        "systemctl restart containerd 2>&1 || journalctl -u containerd.service -n 20 --no-pager -o cat";
      assert.match(await fleet.onNode(node!, restart), /failed to load TOML/);
      await fleet.breakContainerd(node!, "works");
      assert.equal(await fleet.onNode(node!, `${restart}; systemctl is-active containerd`), "active\n");
    });

    test("has a way to its nodes that can be a bad one, and a bastion whose own way is good", async () => {
      const { address } = fleet.nodes[0]!;
      const { host } = await fleet.bastion();
      await fleet.setFaults({ cutAfterBytes: 4, cutFirst: 1 });
      assert.equal(await banner(host), "SSH-2.0");
      // A cut connection is reset; where sshd notices first, it is closed.
      assert.match(await banner(address), /^(?:ECONNRESET$|closed after )/);
      assert.equal(await banner(address), "SSH-2.0");
      await fleet.setFaults({ lossPercent: 100 });
      assert.equal(await banner(host), "SSH-2.0");
      assert.equal(await banner(address, 5), "silence");
      await fleet.clearFaults();
      assert.equal(await banner(address), "SSH-2.0");
    });
  });

  test("a second clone's lab says at once which folder holds this one", async () => {
    const clone = mkdtempSync(path.join(tmpdir(), "clone-"));
    const own = [".git", "node_modules", path.basename(labFolder)];
    cpSync(projectRoot, clone, { recursive: true, filter: (file) => !own.includes(path.basename(file)) });
    symlinkSync(path.join(projectRoot, "node_modules"), path.join(clone, "node_modules"));
    const { code, stderr } = await exec("node", ["--import", "tsx", "lab/main.ts", "up"], {
      cwd: clone,
      allowFailure: true,
      timeout: 600,
    });
    assert.notEqual(code, 0);
    assert.ok(stderr.includes(`another lab is up on this machine: that of ${projectRoot}`), stderr);
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
    const machines = labProcesses();
    await lab.down();
    assert.deepEqual(processesOfTheLab(), []);
    assert.deepEqual(machines.filter(isDefunct), []);
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
