import * as assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { hostname } from "node:os";
import * as path from "node:path";
import { it } from "node:test";
import { type FakeRoot, containerdConfig, file, makeCertificate } from "./fakeRoot";
import { describeOn, killedAnywhere, replaceTool } from "./onNodes";

const state = "var/lib/tkc-registry";
const id = "6f1d2c3b-0000-4000-8000-0123456789ab";
const otherId = "7f1d2c3b-0000-4000-8000-0123456789ab";
const recordOf = (name: string): string =>
  `${state}/owner-${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;

describeOn(
  "the node script, of several stacks,",
  [
    ["photon", "dash"],
    ["debian", "bash"],
    ["rhel", "dash"],
  ],
  ({ makeRoot, first, second }) => {
    const install = { op: "install", nonce: "n-1", certificates: [file(first)] } as const;

    it("takes two stacks of one name for two, and one's removal leaves the other's", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed({ ...install, id });
      const { records } = await root.succeed({ ...install, id: otherId, certificates: [file(second)] });
      assert.deepEqual(records, [{ id, owner: "demo.dev" }]);
      assert.ok(fs.existsSync(root.at(recordOf(id))) && fs.existsSync(root.at(recordOf(otherId))));
      assert.match(root.read(recordOf(id)), new RegExp(`^owner=demo\\.dev\nid=${id}$`, "m"));
      await root.succeed({ op: "remove", id: otherId });
      const status = await root.succeed({ op: "status", id });
      assert.deepEqual([status.trusted, status.records], [[first.sha256], []]);
      assert.ok(!root.trusted().includes(second.sha256));
      // Neither does a stack of an earlier release of that name take what has an id.
      await root.succeed({ ...install, certificates: [file(second)] });
      assert.deepEqual((await root.succeed({ op: "status", id })).records, [
        { id: undefined, owner: "demo.dev" },
      ]);
      await root.succeed({ op: "remove" });
      assert.deepEqual((await root.succeed({ op: "status", id })).trusted, [first.sha256]);
      // Another name, as after a rename, is the same stack.
      await root.succeed({ op: "remove", id, owner: "demo.renamed" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("takes over what an earlier release installed for the stack: no rebuild, no change, no restart", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed({ ...install, certificates: [file(first), file(second)] });
      await root.succeed({ op: "restart" });
      const there = root.snapshot(true);
      const who = { id, owner: "demo.renamed", former: "demo.dev" };
      const preview = await root.succeed({ op: "status", ...who });
      assert.deepEqual([preview.trusted, preview.loaded], [[first.sha256, second.sha256], true]);
      assert.deepEqual([preview.records, preview.nonce], [[], "n-1"]);
      const taken = await root.succeed({
        ...install,
        ...who,
        certificates: [file(first), file(second)],
        nonce: "n-2",
      });
      assert.deepEqual([taken.changed, taken.restarted, taken.loaded], [false, false, true]);
      assert.deepEqual([taken.records, taken.nonce], [[], "n-2"]);
      assert.deepEqual(root.snapshot(true), there);
      assert.ok(!fs.existsSync(root.at(recordOf("demo.dev"))));
      assert.equal((await root.succeed({ op: "restart", id })).restarted, false);
      // A second clone of that stack finds nothing to take over, and takes nothing.
      const clone = await root.succeed({ ...install, id: otherId, former: "demo.dev" });
      assert.deepEqual(clone.records, [{ id, owner: "demo.renamed" }]);
      await root.succeed({ op: "remove", id: otherId });
      assert.deepEqual((await root.succeed({ op: "status", id })).trusted, [first.sha256, second.sha256]);
      // Until the state knows the id, its removal has the name only.
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("takes over all of it, whenever it is killed", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await killedAnywhere(root, 0, {
        start: () => root.succeed(install),
        step: () => root.run({ ...install, id, former: "demo.dev" }),
        check: async (when) => {
          const report = await root.succeed({ ...install, id, former: "demo.dev" });
          assert.deepEqual([report.changed, report.records], [false, []], when);
          await root.succeed({ op: "remove", id });
          assert.deepEqual(root.snapshot(), before, when);
        },
      });
    });

    it("forgets under which name it took over once the state knows the id", async () => {
      const root = makeRoot();
      await root.succeed(install);
      await root.succeed({ ...install, id, former: "demo.dev" });
      await root.succeed({ ...install, id, nonce: "n-2" });
      assert.equal((await root.succeed({ op: "remove" })).changed, false);
      assert.ok(root.trusted().includes(first.sha256));
    });

    it("reports files that no record claims, and removes them where it is told to", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const folder = "etc/containerd/certs.d/harbor.example";
      root.write("lab/containerd.toml", containerdConfig(2, "/etc/containerd/certs.d"));
      await root.succeed({ ...install, trust: "certs.d", certificates: [file(second)] });
      await root.succeed({ ...install, owner: "other" });
      // As a backup of /etc brings them back: without their record.
      for (const name of fs.readdirSync(root.at(state))) {
        if (name.startsWith("owner-")) fs.rmSync(root.at(state, name));
      }
      const status = await root.succeed({ op: "status", id });
      const strays = [
        `/${root.store}/${file(first).name}${root.extension}`,
        `/${folder}/${file(second).name}.crt`,
      ];
      assert.deepEqual(status.unclaimed, strays);
      await root.succeed({ ...install, id, certificates: [file(makeCertificate("Mine"))] });
      assert.deepEqual((await root.succeed({ op: "status", id })).unclaimed, strays);
      const left = await root.succeed({ op: "remove", id: otherId, unclaimed: true });
      assert.deepEqual([left.changed, left.records.length], [true, 1]);
      assert.ok(!root.trusted().includes(first.sha256), "its block in the bundle too");
      assert.deepEqual((await root.succeed({ op: "status", id })).unclaimed, []);
      await root.succeed({ op: "remove", id });
      fs.rmSync(root.at("etc/containerd/certs.d"), { recursive: true, force: true });
      assert.deepEqual(root.snapshot(), before);
    });

    it("asks for the host name as well, where several nodes share a machine id", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const { error, detail } = await root.error({ ...install, hostName: "another-node" });
      assert.equal(error, "wrong-node");
      assert.match(detail ?? "", /not another-node/);
      assert.deepEqual(root.snapshot(), before);
      await root.succeed({ ...install, hostName: hostname().toLowerCase() });
      const damaged = await root.run({ ...install, hostName: "x" }, (input) =>
        input.replace(/^hostName .*$/m, "hostName *"),
      );
      assert.match(damaged.stdout, /^error=bad-parameter$/m);
    });

    it("changes nothing on a node without containerd's unit, and removes what is on it all the same", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      root.write("lab/no-unit", "");
      for (const trust of ["system", "certs.d"] as const)
        assert.equal((await root.error({ ...install, trust })).error, "containerd-missing");
      assert.deepEqual(root.snapshot(), before);
      assert.equal((await root.succeed({ op: "remove" })).changed, false);
      fs.rmSync(root.at("lab/no-unit"));
      await root.succeed(install);
      root.write("lab/no-unit", "");
      const removed = await root.succeed({ op: "remove" });
      assert.deepEqual([removed.changed, removed.restarted], [true, false]);
      assert.deepEqual(root.snapshot(), before);
      assert.equal(root.lines("lab/restarts"), 0);
    });

    it("says since when containerd runs after a removal", async () => {
      const root = makeRoot();
      await root.succeed(install);
      const { restarted, containerdStarted } = await root.succeed({ op: "remove" });
      assert.equal(restarted, true);
      assert.match(containerdStarted ?? "", /^20.*Z$/);
      assert.notEqual((await root.succeed({ op: "remove" })).containerdStarted, undefined);
    });

    it("locks by a file that no other user can open, and leaves none where it has nothing", async () => {
      const root = makeRoot();
      const lock = "run/tkc-registry.lock";
      await root.succeed({ op: "status" });
      assert.ok(!fs.existsSync(root.at(lock)));
      const mode = (): number => fs.statSync(root.at(lock)).mode & 0o777;
      await root.succeed(install);
      assert.equal(mode(), 0o600);
      // As earlier releases made it.
      fs.chmodSync(root.at(lock), 0o644);
      await root.succeed({ op: "status" });
      assert.equal(mode(), 0o600);
      root.drop("usr/bin/flock");
      for (const op of ["status", "remove", "restart"] as const)
        assert.equal((await root.error({ op })).error, "no-flock");
      const other = makeRoot();
      const before = other.snapshot();
      other.drop("usr/bin/flock");
      const { error, detail } = await other.error(install);
      assert.deepEqual([error, detail], ["no-flock", "there is no program flock"]);
      assert.equal((await other.error({ op: "status" })).error, "no-flock", "a preview says so");
      assert.equal((await other.succeed({ op: "remove" })).changed, false);
      assert.deepEqual(other.snapshot(), before);
    });

    it("tells each change to the node's journal in one line, also a failed one, and nothing else", async () => {
      const root = makeRoot();
      const journal = (): string[] => {
        const lines = root.read("lab/journal").split("\n").slice(0, -1);
        root.drop("lab/journal");
        return lines;
      };
      const owner = 'demo."dev"\nresult=ok';
      const who = { id, owner };
      const begin = `stack="demo.?dev??result=ok" id=${id} operation=`;
      await root.succeed({ op: "status", ...who });
      assert.deepEqual(journal(), []);
      await root.succeed({ ...install, ...who, certificates: [file(first), file(second)] });
      assert.deepEqual(journal(), [
        `${begin}install added=${first.sha256},${second.sha256} removed=- restarted=false result=ok`,
      ]);
      assert.match(root.read("lab/logger-options"), /-t tkc-registry/);
      await root.succeed({ ...install, ...who, certificates: [file(first), file(second)] });
      assert.deepEqual(journal(), []);
      await root.succeed({ op: "restart", ...who });
      await root.succeed({ op: "restart", ...who });
      assert.deepEqual(journal(), [`${begin}restart added=- removed=- restarted=true result=ok`]);
      await root.succeed({ ...install, ...who });
      assert.deepEqual(journal(), [
        `${begin}install added=- removed=${second.sha256} restarted=false result=ok`,
      ]);
      root.write("lab/broken", "");
      await root.error({ op: "remove", ...who });
      assert.deepEqual(journal(), [
        `${begin}remove added=- removed=${first.sha256} restarted=false result=containerd-failed`,
      ]);
      await root.error({ op: "remove", ...who, machineId: "f".repeat(32) });
      assert.deepEqual(journal(), []);
      // The failed restart left no process; a removal goes on where it was.
      root.drop("lab/broken");
      root.shell("systemctl start");
      root.drop("usr/bin/logger");
      root.drop("usr/bin/systemd-cat");
      root.program("usr/bin/systemd-cat", '#!/bin/sh\necho "$*" >/lab/logger-options\ncat >>/lab/journal\n');
      await root.succeed({ ...install, ...who });
      assert.equal(journal().length, 1);
      assert.equal(root.read("lab/logger-options"), "-t tkc-registry\n");
      root.drop("usr/bin/systemd-cat");
      await root.succeed({ op: "remove", ...who });
      const other: FakeRoot = makeRoot();
      replaceTool(other, "logger", "#!/bin/sh\nexit 1\n");
      await other.succeed(install);
    });

    it("reads of a hosts.toml what containerd reads for the registry itself", async () => {
      const root = makeRoot();
      const certificate = file(first, "harbor.example:5000");
      const folder = "etc/containerd/certs.d/harbor.example:5000";
      root.write("lab/containerd.toml", containerdConfig(2, "/etc/containerd/certs.d"));
      fs.mkdirSync(root.at(folder), { recursive: true });
      const ours = `${certificate.name}.crt`;
      const mirror = '[host."https://mirror.example"]\n';
      const itself = '[host."https://harbor.example:5000"]\n';
      const cases: readonly (readonly [read: boolean, toml: string])[] = [
        [false, `${mirror}ca = "${ours}"\n`],
        [false, `server = "https://other.example"\nca = "${ours}"\n`],
        [false, `${itself}skip_verify = false\n${mirror}  ca = "${ours}"\n`],
        [false, `${itself}ca = "other.crt" # "${ours}"\n`],
        [false, `[host."https://harbor.example:5000".header]\nca = "${ours}"\n`],
        [false, `[host."http://harbor.example:5000"]\nca = "${ours}"\n`],
        [false, `${itself}client = "${ours}"\n`],
        [true, `ca = "${ours}"\n${mirror}`],
        [true, `server = "https://harbor.example:5000"\nca = '${ours}'\n`],
        [true, `${mirror}ca = "other.crt"\n${itself}  ca = ["other.crt",\n    "/${folder}/${ours}"]\n`],
      ];
      await root.succeed({ ...install, trust: "certs.d", certificates: [certificate] });
      for (const [read, toml] of cases) {
        root.write(`${folder}/hosts.toml`, toml);
        const { trusted } = await root.succeed({ op: "status" });
        assert.deepEqual(trusted, read ? [first.sha256] : [], toml);
      }
      await root.succeed({ op: "remove" });
      root.write(`${folder}/hosts.toml`, cases[0]![1]);
      const before = root.snapshot();
      const refused = await root.error({ ...install, trust: "certs.d", certificates: [certificate] });
      assert.equal(refused.error, "certs-d-taken");
      assert.deepEqual(root.snapshot(), before);
    });

    it("asks the configuration that containerd was started with", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const trust = "certs.d";
      const start = (...command: string[]): void => {
        process.kill(Number(root.read("lab/pid")));
        root.shell(
          `bash -c 'exec -a /usr/bin/containerd tail -f /dev/null ${command.join(" ")}' >/dev/null 2>&1 & echo $! >/lab/pid`,
        );
      };
      root.write("lab/containerd.toml", containerdConfig(2, "/etc/containerd/certs.d"));
      root.write("lab/other.toml", containerdConfig(2, ""));
      for (const name of ["--config=/lab/other.toml", "--config /lab/other.toml", "-c=/lab/other.toml"]) {
        // What is behind these words is a file's name to this program.
        start("--", ...name.split(" "));
        const { error, detail } = await root.error({ ...install, trust });
        assert.equal(error, "certs-d-missing", name);
        assert.match(detail ?? "", /no config_path/);
      }
      start("--", "--config=other.toml");
      assert.match((await root.error({ ...install, trust })).detail ?? "", /no whole path/);
      assert.deepEqual(root.snapshot(), before);
      root.write("lab/other.toml", containerdConfig(2, "/etc/containerd/other"));
      start("--", "--config=/lab/other.toml");
      const { trusted } = await root.succeed({ ...install, trust });
      assert.deepEqual(trusted, [first.sha256]);
      assert.ok(fs.existsSync(root.at("etc/containerd/other/harbor.example")));
      start();
      assert.deepEqual((await root.succeed({ op: "status" })).trusted, []);
      // Where it does not run, its unit says how it is started.
      process.kill(Number(root.read("lab/pid")));
      root.write("lab/pid", "0\n");
      root.write("lab/command", "/usr/bin/containerd --config /lab/other.toml");
      assert.deepEqual((await root.succeed({ op: "status" })).trusted, [first.sha256]);
      root.write("lab/command", "");
      assert.deepEqual((await root.succeed({ op: "status" })).trusted, []);
      root.shell("systemctl start");
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("leaves the records of others that cannot be read as they are", async () => {
      const root = makeRoot();
      fs.mkdirSync(root.at(state), { recursive: true });
      root.write(path.join(state, "owner-0123456789abcdef"), "no record\n");
      const { records } = await root.succeed({ op: "status" });
      assert.deepEqual(records, [{ id: undefined, owner: "" }]);
    });
  },
);
