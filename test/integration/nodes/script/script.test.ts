import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import { hostname } from "node:os";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { nodeScript, remoteCommand, type NodeCertificate } from "../../../../nodes/script/script";
import {
  type Certificate,
  type Family,
  FakeRoot,
  type Shell,
  fakeRootsImpossible,
  file,
  makeCertificate,
} from "./fakeRoot";

const skip = fakeRootsImpossible();

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

for (const [family, shell] of [
  ["photon", "bash"],
  ["debian", "dash"],
] as [Family, Shell][]) {
  describe(`the node script on ${family} with ${shell}`, { skip }, () => {
    let first: Certificate;
    let second: Certificate;
    const roots: FakeRoot[] = [];
    const makeRoot = (): FakeRoot => {
      const root = new FakeRoot(family, shell);
      roots.push(root);
      return root;
    };
    before(() => {
      first = makeCertificate("Harbor CA");
      second = makeCertificate("Another CA");
    });
    after(() => roots.forEach((root) => root.remove()));

    it("makes the system trust a certificate, as a file of its own that ends with a newline", async () => {
      const root = makeRoot();
      const others = root.trusted();
      const report = await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      assert.deepEqual(report.trusted, [first.sha256]);
      assert.equal(report.os, family);
      assert.equal(report.changed, true);
      assert.equal(report.loaded, false, "containerd started before");
      assert.equal(root.read(`${root.store}/${file(first).name}${root.extension}`), first.pem);
      assert.ok(root.trusted().includes(first.sha256));
      assert.deepEqual(
        others.filter((sha256) => !root.trusted().includes(sha256)),
        [],
      );
      assert.equal(fs.statSync(root.at("var/lib/tkc-registry")).mode & 0o777, 0o700);
      assert.equal(root.lines("lab/restarts"), 0);
    });

    it("writes nothing and rehashes nothing the second time", async () => {
      const root = makeRoot();
      await root.succeed({
        op: "install",
        nonce: "n-1",
        certificates: [file(first), file(second, "[fd00::1]:8443")],
      });
      const before = root.snapshot(true);
      const rehashes = root.lines("lab/rehashes");
      const report = await root.succeed({
        op: "install",
        nonce: "n-2",
        certificates: [file(first), file(second, "[fd00::1]:8443")],
      });
      assert.equal(report.changed, false);
      assert.equal(report.nonce, "n-2");
      assert.deepEqual(root.snapshot(true), before);
      assert.equal(root.lines("lab/rehashes"), rehashes);
    });

    it("leaves every byte, link and name as it was when it is removed", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first), file(second)] });
      assert.notDeepEqual(root.snapshot(), before);
      const report = await root.succeed({ op: "remove" });
      assert.equal(report.restarted, true);
      assert.deepEqual(root.snapshot(), before);
      const again = await root.succeed({ op: "remove" });
      assert.equal(again.changed, false);
      assert.equal(again.restarted, false);
      assert.deepEqual(root.snapshot(), before);
    });

    it("restarts containerd once, and only when it started before the certificates came", async () => {
      const root = makeRoot();
      const fresh = await root.succeed({ op: "restart" });
      assert.equal(fresh.restarted, false);
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      const report = await root.succeed({ op: "restart" });
      assert.equal(report.restarted, true);
      assert.equal(report.loaded, true);
      assert.match(root.read("lab/ctr"), /plugins ls/);
      const again = await root.succeed({ op: "restart" });
      assert.equal(again.restarted, false);
      assert.equal(again.containerdStarted, report.containerdStarted);
      assert.equal(root.lines("lab/restarts"), 1);
    });

    it("shows why containerd does not start", async () => {
      const root = makeRoot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      root.write("lab/broken", "");
      const { error, log } = await root.error({ op: "restart" });
      assert.equal(error, "containerd-failed");
      assert.match(Buffer.from(log ?? "", "base64").toString(), /it said why/);
    });

    it("takes away what is no longer listed", async () => {
      const root = makeRoot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      await root.succeed({ op: "install", nonce: "n-2", certificates: [file(second)] });
      assert.ok(!root.trusted().includes(first.sha256));
      assert.ok(root.trusted().includes(second.sha256));
      assert.equal(root.read(`${root.store}/${file(first).name}${root.extension}`), "");
    });

    it("keeps what another stack installed too until the last one leaves", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      const other = await root.succeed({
        op: "install",
        nonce: "n-2",
        owner: "other",
        certificates: [file(first)],
      });
      assert.equal(other.changed, false);
      const gone = await root.succeed({ op: "remove" });
      assert.equal(gone.changed, false);
      assert.ok(root.trusted().includes(first.sha256));
      await root.succeed({ op: "remove", owner: "other" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("reports the same certificate in somebody else's file, and never removes that", async () => {
      const root = makeRoot();
      // As the manual procedure leaves it; with CRLF, and text around.
      root.write("etc/ssl/certs/harbor-registy.crt", `Harbor\r\n${first.pem.replaceAll("\n", "\r\n")}`);
      root.rebuild();
      const before = root.snapshot();
      const report = await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      assert.deepEqual(report.alsoTrustedBy, ["/etc/ssl/certs/harbor-registy.crt"]);
      assert.ok(root.trusted().includes(first.sha256));
      const removed = await root.succeed({ op: "remove" });
      assert.deepEqual(removed.alsoTrustedBy, ["/etc/ssl/certs/harbor-registy.crt"]);
      assert.deepEqual(root.snapshot(), before);
    });

    it("leaves a bundle that still holds the certificate through somebody else's file", async () => {
      const root = makeRoot();
      root.write(`${root.store}/by-hand${root.extension}`, first.pem);
      root.rebuild();
      const before = root.snapshot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      const report = await root.succeed({ op: "remove" });
      assert.deepEqual(report.alsoTrustedBy, [`/${root.store}/by-hand${root.extension}`]);
      assert.ok(root.trusted().includes(first.sha256));
      assert.deepEqual(root.snapshot(), before);
    });

    it("touches nothing on a node that is not the one meant", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const { error } = await root.error({
        op: "install",
        machineId: "f".repeat(32),
        certificates: [file(first)],
      });
      assert.equal(error, "wrong-node");
      const byName = await root.error({ op: "install", machineId: "", certificates: [file(first)] });
      assert.equal(byName.error, "wrong-node");
      assert.deepEqual(root.snapshot(), before);
    });

    it("does nothing when it arrives truncated or changed", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const operation = { op: "install", nonce: "n-1", certificates: [file(first)] } as const;
      for (const damage of [
        (input: string) => input.slice(0, -20),
        (input: string) => input.slice(0, input.length / 2),
        (input: string) => input.slice(0, 100),
        (input: string) => input.replace("umask 022", "umask 000"),
      ]) {
        const { stdout, code } = await root.run(operation, damage);
        assert.match(stdout, /error=script-damaged/);
        assert.equal(code, 1);
      }
      const { text } = nodeScript();
      await root.feed(["/usr/bin/sh"], text.slice(0, text.lastIndexOf("main")));
      assert.deepEqual(root.snapshot(), before);
    });

    it("refuses parameters that are not what they should be", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const good = file(first);
      for (const certificate of [
        { ...good, name: "../../etc/passwd" },
        { ...good, name: "tkc-registry-$(id)" },
        { ...good, name: "harbor" },
        { ...good, der: second.der },
      ]) {
        const { error } = await root.error({ op: "install", nonce: "n-1", certificates: [certificate] });
        assert.equal(error, "bad-parameter");
      }
      for (const [given, instead] of [
        [/^op .*$/m, "op dance"],
        [/^op .*$/m, "$&\nwhat ever"],
        [/^machineId .*$/m, "machineId *"],
        [/^owner .*$/m, "owner *"],
        [/^owner .*$/m, "owner "],
        [/^nonce .*$/m, "nonce $(id)"],
        [/^nonce .*$/m, "$&\nlockWait soon"],
        [/^certificate .*$/m, "$&*"],
        [/^certificate .*$/m, "$& more"],
        [/^certificate .*\n/m, ""],
        [/^machineId .*\nnodeName .*$/m, "op install"],
      ] as const) {
        const { stdout } = await root.run({ op: "install", nonce: "n-1", certificates: [good] }, (input) =>
          input.replace(given, instead),
        );
        assert.match(stdout, /^error=bad-parameter$/m, instead);
      }
      fs.rmSync(root.at("run/tkc-registry.lock"), { force: true });
      assert.deepEqual(root.snapshot(), before);
    });

    it("reports only certificates whose file is exactly as it was written, and changes nothing by asking", async () => {
      const root = makeRoot();
      const certificates = [file(first), file(second, "second.example")];
      await root.succeed({ op: "install", nonce: "n-1", certificates });
      const place = `${root.store}/${file(first).name}${root.extension}`;
      const bundle = root.read(root.bundle);
      const state = root.snapshot();
      const all = await root.succeed({ op: "status" });
      assert.deepEqual(all.trusted, [first.sha256, second.sha256]);
      assert.deepEqual([all.nonce, all.trust], ["n-1", "system"]);
      assert.equal(all.changed, false);
      const copy = root.at("lab/copy");
      fs.copyFileSync(root.at(place), copy);
      const alterations: Record<string, () => void> = {
        "final newline lost": () => root.write(place, first.pem.trimEnd()),
        "a newline more": () => root.write(place, `${first.pem}\n`),
        "other line ends": () => root.write(place, first.pem.replaceAll("\n", "\r\n")),
        "something before": () => root.write(place, `Harbor\n${first.pem}`),
        "a second certificate": () => root.write(place, first.pem + second.pem),
        "another certificate": () => root.write(place, second.pem),
        "a byte that ends records": () => root.write(place, `${first.pem}\u0001`),
        "a zero byte": () => root.write(place, `${first.pem}\0`),
        empty: () => root.write(place, ""),
        gone: () => fs.rmSync(root.at(place)),
        "a link": () => {
          fs.rmSync(root.at(place));
          fs.symlinkSync("/lab/copy", root.at(place));
        },
        "a folder": () => {
          fs.rmSync(root.at(place));
          fs.mkdirSync(root.at(place));
        },
      };
      for (const [name, alter] of Object.entries(alterations)) {
        alter();
        const before = root.snapshot(true);
        const status = await root.succeed({ op: "status" });
        assert.deepEqual(status.trusted, [second.sha256], name);
        assert.deepEqual(status.present, [second.sha256], name);
        assert.deepEqual(root.snapshot(true), before, name);
        fs.rmSync(root.at(place), { recursive: true, force: true });
        fs.copyFileSync(copy, root.at(place));
      }
      root.write(root.bundle, bundle.replace(first.pem, ""));
      const left = await root.succeed({ op: "status" });
      assert.deepEqual([left.trusted, left.present], [[second.sha256], all.trusted]);
      root.write(root.bundle, bundle);
      assert.deepEqual(root.snapshot(), state);
      assert.deepEqual((await root.succeed({ op: "status" })).trusted, all.trusted);
      const stranger = await root.succeed({ op: "status", owner: "other" });
      assert.deepEqual([stranger.trusted, stranger.present, stranger.trust], [[], [], undefined]);
    });

    it("restores what somebody else's rebuild left out", async () => {
      const root = makeRoot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      root.write(root.bundle, root.read(root.bundle).replace(first.pem, ""));
      const report = await root.succeed({ op: "install", nonce: "n-2", certificates: [file(first)] });
      assert.equal(report.changed, true);
      assert.deepEqual(report.trusted, [first.sha256]);
      assert.ok(root.trusted().includes(first.sha256));
    });

    it("notices a bundle that somebody else's rebuild leaves half-written, then or later", async () => {
      const root = makeRoot();
      const others = root.trusted();
      const tool =
        family === "photon" ? "usr/bin/rehash_ca_certificates.sh" : "usr/sbin/update-ca-certificates";
      const good = root.read(tool);
      const install = { op: "install", nonce: "n-1", certificates: [file(first), file(second)] } as const;
      for (const damage of [": >", "head -c 700 /lab/whole >", "head -n -2 /lab/whole >"]) {
        root.write("usr/bin/rebuild", good);
        fs.chmodSync(root.at("usr/bin/rebuild"), 0o755);
        root.write(tool, `#!/bin/sh\nrebuild\ncp /${root.bundle} /lab/whole\n${damage}/${root.bundle}\n`);
        assert.match((await root.error(install)).error, /^(not-trusted|bundle-shrank)$/, damage);
        assert.equal((await root.succeed({ op: "status" })).loaded, false, damage);
        root.write(tool, good);
        const repaired = await root.succeed(install);
        assert.deepEqual(repaired.trusted, [first.sha256, second.sha256], damage);
        assert.deepEqual(
          others.filter((sha256) => !root.trusted().includes(sha256)),
          [],
        );
        root.shell(`cp /${root.bundle} /lab/whole; ${damage}/${root.bundle}`);
        const restart = await root.succeed({ op: "restart" });
        assert.ok(restart.trusted.length < 2, damage);
        assert.deepEqual((await root.succeed({ op: "status" })).present, [first.sha256, second.sha256]);
        assert.equal((await root.succeed(install)).changed, true, damage);
        assert.deepEqual((await root.succeed({ op: "restart" })).trusted, [first.sha256, second.sha256]);
        await root.succeed({ op: "remove" });
      }
    });

    it("keeps the certificates of a chain apart, and one that two registries share with each", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const shared = file(first, "second.example");
      const chain = [file(first), file(second)];
      const report = await root.succeed({
        op: "install",
        nonce: "n-1",
        // One name, for 443 is what a host without a port has.
        certificates: [...chain, shared, file(first, "harbor.example:443")],
      });
      assert.deepEqual(report.trusted, [first.sha256, second.sha256]);
      const read = ({ name }: NodeCertificate): string => root.read(`${root.store}/${name}${root.extension}`);
      assert.deepEqual([...chain, shared].map(read), [first.pem, second.pem, first.pem]);
      fs.rmSync(root.at(root.store, shared.name + root.extension));
      const status = await root.succeed({ op: "status" });
      assert.deepEqual([status.trusted, status.present], [[second.sha256], [second.sha256]], "of each");
      const left = await root.succeed({ op: "install", nonce: "n-2", certificates: [shared] });
      assert.deepEqual(left.trusted, [first.sha256]);
      assert.deepEqual([...chain, shared].map(read), ["", "", first.pem]);
      assert.ok(root.trusted().includes(first.sha256));
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("finds the certificate under any name, and each file once", async () => {
      const root = makeRoot();
      const { pem } = first;
      root.write("lab/elsewhere.crt", pem);
      fs.symlinkSync("/lab/elsewhere.crt", root.at("etc/ssl/certs/linked.crt"));
      fs.symlinkSync("/lab/elsewhere.crt", root.at("etc/ssl/certs/tkc-registry-linked.crt"));
      fs.symlinkSync("nowhere", root.at("etc/ssl/certs/dangling.crt"));
      fs.mkdirSync(root.at("etc/ssl/certs/folder.crt"));
      root.shell("mkfifo /etc/ssl/certs/pipe");
      fs.mkdirSync(root.at("usr/local/share/ca-certificates/by hand"), { recursive: true });
      for (const name of [
        "etc/ssl/certs/with  two spaces.crt",
        "etc/ssl/certs/star*[ab]?.crt",
        "etc/ssl/certs/a=b",
        "etc/ssl/certs/-n",
        "etc/ssl/certs/'quoted' \"$(x)\" \\.crt",
        "etc/ssl/certs/two\nlines.crt",
        "etc/ssl/certs/Größe.crt",
        "usr/local/share/ca-certificates/by hand/harbor.txt",
      ]) {
        root.write(name, `-----BEGIN TRUST-----\nAAAA\n-----END TRUST-----\n${second.pem}${pem}`);
      }
      root.write("etc/ssl/certs/only-text", pem.replaceAll("-----", "----"));
      root.write("etc/ssl/certs/starfish[ab]?.crt", second.pem);
      const report = await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      const expected = [
        "/etc/ssl/certs/'quoted' \"$(x)\" \\.crt",
        "/etc/ssl/certs/-n",
        "/etc/ssl/certs/Gr????e.crt",
        "/etc/ssl/certs/a=b",
        "/etc/ssl/certs/star*[ab]?.crt",
        "/etc/ssl/certs/two?lines.crt",
        "/etc/ssl/certs/with  two spaces.crt",
        "/lab/elsewhere.crt",
        "/usr/local/share/ca-certificates/by hand/harbor.txt",
      ];
      assert.deepEqual(report.alsoTrustedBy, expected.slice(0, 8), "no more than eight");
      const removed = await root.succeed({ op: "remove" });
      assert.deepEqual(removed.alsoTrustedBy, expected.slice(0, 8));
    });

    it("says so when a rebuild does not do what it is for", async () => {
      const root = makeRoot();
      const tool =
        family === "photon" ? "usr/bin/rehash_ca_certificates.sh" : "usr/sbin/update-ca-certificates";
      const good = root.read(tool);
      const rebuildBy = (commands: string): void => root.write(tool, `#!/bin/sh\n${commands}\n`);
      const install = { op: "install", nonce: "n-1", certificates: [file(first)] } as const;
      rebuildBy("echo out of order; exit 3");
      const failed = await root.error(install);
      assert.equal(failed.error, "rehash-failed");
      assert.match(Buffer.from(failed.log ?? "", "base64").toString(), /out of order/);
      rebuildBy("echo done");
      const { error, detail } = await root.error(install);
      assert.equal(error, "not-trusted");
      assert.match(detail ?? "", new RegExp(file(first).name));
      assert.equal((await root.succeed({ op: "status" })).loaded, false);
      rebuildBy(`cat /${root.store}/tkc-registry-* >/${root.bundle}`);
      assert.equal((await root.error(install)).error, "bundle-shrank");
      root.write(tool, good);
      root.rebuild();
      const report = await root.succeed(install);
      assert.equal(report.changed, true, "what failed is redone");
      rebuildBy("echo done");
      assert.equal((await root.error({ op: "remove" })).error, "not-removed");
      root.write(tool, good);
      assert.equal((await root.succeed({ op: "remove" })).changed, true);
      assert.ok(!root.trusted().includes(first.sha256));
    });

    it("leaves the store alone where it cannot write, and completes later what it could only begin", async () => {
      const root = makeRoot();
      fs.mkdirSync(root.at("run/mount")); // as mount does
      const before = root.snapshot();
      const install = { op: "install", nonce: "n-1", certificates: [file(first), file(second)] } as const;
      const { command, input } = remoteCommand({
        machineId: root.machineId,
        nodeName: "node-1",
        owner: "demo.dev",
        ...install,
      });
      for (const [obstacle, store] of [
        ["mount -t tmpfs -o size=4k none /var/lib", "untouched"],
        ["mount --bind -o ro /var/lib /var/lib", "untouched"],
        [`mount --bind /${root.store} /${root.store}; mount -o remount,bind,ro /${root.store}`, "later"],
      ] as const) {
        const { stdout } = await root.feed(["/usr/bin/bash", "-c", `${obstacle}\n${command}`], input);
        assert.match(stdout, /^error=write-failed$/m, obstacle);
        fs.rmSync(root.at("run/tkc-registry.lock"));
        if (store === "untouched") assert.deepEqual(root.snapshot(), before, obstacle);
      }
      assert.equal((await root.succeed({ op: "status" })).loaded, false);
      const report = await root.succeed(install);
      assert.deepEqual(report.trusted, [first.sha256, second.sha256]);
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("waits for the other run, also where that removes the lock's file", async () => {
      const root = makeRoot();
      root.shell(
        "exec 9>>/run/tkc-registry.lock; flock 9; setsid sleep 30 >/dev/null 2>&1 & echo $! >/lab/holder",
      );
      const inode = fs.statSync(root.at("run/tkc-registry.lock")).ino;
      const child = root.begin({ op: "install", nonce: "n-1", certificates: [file(first)] });
      // The kernel lists whoever is blocked by a lock with an arrow, and the locked file by its inode.
      await until(() =>
        fs
          .readFileSync("/proc/locks", "utf8")
          .split("\n")
          .some((line) => line.includes("-> FLOCK") && line.includes(`:${inode} `)),
      );
      assert.equal(root.read("var/lib/tkc-registry/changed"), "", "it waits");
      fs.renameSync(root.at("run/tkc-registry.lock"), root.at("lab/removed.lock"));
      process.kill(Number(root.read("lab/holder")));
      const code = await new Promise((resolve) => child.on("close", resolve));
      assert.equal(code, 0);
      assert.notEqual(fs.statSync(root.at("run/tkc-registry.lock")).ino, inode);
      assert.ok(root.trusted().includes(first.sha256));
    });

    it("takes the host name where there is no machine id, and any name of a stack", async () => {
      const root = makeRoot();
      const owner = `Größe\n${"x".repeat(300)}`;
      const before = root.snapshot();
      const who = { machineId: "", nodeName: hostname().toLowerCase(), owner };
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)], ...who });
      assert.deepEqual((await root.succeed({ op: "status", ...who })).trusted, [first.sha256]);
      await root.succeed({ op: "remove", ...who });
      assert.deepEqual(root.snapshot(), before);
    });

    it("knows since when containerd runs, whatever its process is called, and that it does not run", async () => {
      const root = makeRoot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      process.kill(Number(root.read("lab/pid")));
      await until(() => !fs.existsSync(`/proc/${root.read("lab/pid").trim()}`));
      const dead = await root.succeed({ op: "status" });
      assert.deepEqual([dead.loaded, dead.containerdStarted], [false, undefined]);
      await sleep(20);
      root.shell('cp /usr/bin/sleep "/lab/a) S 1 (b"; setsid "/lab/a) S 1 (b" 3600 & echo $! >/lab/pid');
      const status = await root.succeed({ op: "status" });
      assert.equal(status.loaded, true);
      assert.match(status.containerdStarted ?? "", /^20/);
      root.write("var/lib/tkc-registry/changed", `${status.bootId} 99999999999\n`);
      assert.equal((await root.succeed({ op: "status" })).loaded, false);
      root.write("var/lib/tkc-registry/changed", `${status.bootId.replace(/^./, "x")} 99999999999\n`);
      assert.equal((await root.succeed({ op: "status" })).loaded, true, "before the last boot");
    });

    it("waits until the plugin that kubelet speaks to is there", async () => {
      const root = makeRoot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      const plugins =
        "echo 'TYPE  ID  PLATFORMS  STATUS    '; echo 'io.containerd.grpc.v1  error  -  ok    '";
      root.write(
        "usr/bin/ctr",
        `#!/bin/sh\necho call >>/lab/ctr\n${plugins}\n[ -e /lab/up ] || state=error\ntouch /lab/up\necho "io.containerd.grpc.v1  cri  linux/amd64  \${state:-ok}    "\n`,
      );
      const report = await root.succeed({ op: "restart" });
      assert.deepEqual([report.restarted, report.loaded], [true, true]);
      assert.equal(root.lines("lab/ctr"), 2);
    });

    it("says that another run is at work when that does not end in time", async () => {
      const root = makeRoot();
      root.shell(
        "exec 9>>/run/tkc-registry.lock; setsid flock 9; setsid sleep 30 >/dev/null 2>&1 & echo $! >/lab/holder",
      );
      const { error } = await root.error({
        op: "install",
        certificates: [file(first)],
        nonce: "n-1",
        lockWait: 1,
      });
      assert.equal(error, "busy");
      process.kill(Number(root.read("lab/holder")));
    });

    it("needs a family of systems that it knows", async () => {
      const root = makeRoot();
      fs.rmSync(root.at("usr/bin/rehash_ca_certificates.sh"), { force: true });
      fs.rmSync(root.at("usr/sbin/update-ca-certificates"), { force: true });
      const { error, detail } = await root.error({
        op: "install",
        certificates: [file(first)],
        nonce: "n-1",
      });
      assert.equal(error, "unknown-os");
      assert.match(detail ?? "", /A test/);
    });

    it("prints less than 4 KiB for as many certificates as it may be given", async () => {
      const root = makeRoot();
      const certificates = Array.from({ length: 24 }, (_, index) => file(makeCertificate(`CA ${index}`)));
      const { stdout } = await root.run({ op: "install", nonce: "n-1", certificates });
      assert.match(stdout, /end=ok\n$/);
      assert.ok(stdout.length < 4096);
      const all = certificates.map(({ sha256 }) => sha256);
      const status = await root.run({ op: "status" });
      assert.equal(status.stdout.match(/^(trusted|present)=/gm)?.length, 2 * all.length);
      assert.ok(status.stdout.length < 4096 - 64, "with the longest nonce, too");
      assert.deepEqual((await root.succeed({ op: "status" })).trusted, all);
    });
  });
}

for (const [family, shell] of [
  ["photon", "dash"],
  ["debian", "bash"],
] as [Family, Shell][]) {
  it(`the node script comes and goes without a trace on ${family} with ${shell}, too`, { skip }, async () => {
    const root = new FakeRoot(family, shell);
    try {
      const before = root.snapshot();
      const certificate = makeCertificate("Harbor CA");
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(certificate)] });
      assert.ok(root.trusted().includes(certificate.sha256));
      await root.succeed({ op: "restart" });
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    } finally {
      root.remove();
    }
  });
}

describe("the node script on photon, where the bundle is files put end to end", { skip }, () => {
  const roots: FakeRoot[] = [];
  after(() => roots.forEach((root) => root.remove()));
  const makeRoot = (): FakeRoot => {
    const root = new FakeRoot("photon", "dash");
    roots.push(root);
    return root;
  };

  it("goes on to its end when the client is cut off", async () => {
    const root = makeRoot();
    const certificate = makeCertificate("Harbor CA");
    root.write("lab/hold", "");
    fs.rmSync(root.at("lab/rehashing"));
    const child = root.begin({ op: "install", nonce: "n-1", certificates: [file(certificate)] });
    await until(() => fs.existsSync(root.at("lab/rehashing")));
    child.stdout?.destroy();
    child.stderr?.destroy();
    process.kill(-child.pid!, "SIGHUP");
    fs.rmSync(root.at("lab/hold"));
    await new Promise((resolve) => child.on("close", resolve));
    assert.ok(root.trusted().includes(certificate.sha256));
    const report = await root.succeed({ op: "install", nonce: "n-2", certificates: [file(certificate)] });
    assert.equal(report.changed, false);
  });

  it("finishes what a run that was killed left half done, and removes all of it", async () => {
    const root = makeRoot();
    const before = root.snapshot();
    const certificate = makeCertificate("Harbor CA");
    root.write("lab/hold", "");
    fs.rmSync(root.at("lab/rehashing"));
    const child = root.begin({ op: "install", nonce: "n-1", certificates: [file(certificate)] });
    await until(() => fs.existsSync(root.at("lab/rehashing")));
    process.kill(-child.pid!, "SIGKILL");
    root.write("lab/dead", "");
    fs.rmSync(root.at("lab/hold"));
    await until(() => fs.existsSync(root.at("lab/died")));
    fs.rmSync(root.at("lab/dead"));
    assert.ok(!root.trusted().includes(certificate.sha256), "it was killed before the rebuild");
    const status = await root.succeed({ op: "status" });
    assert.deepEqual([status.trusted, status.loaded], [[], false]);
    const report = await root.succeed({ op: "install", nonce: "n-2", certificates: [file(certificate)] });
    assert.deepEqual(report.trusted, [certificate.sha256]);
    await root.succeed({ op: "remove" });
    assert.deepEqual(root.snapshot(), before);
  });

  it("refuses to rebuild where a file without final newline would swallow another", async () => {
    const root = makeRoot();
    root.write("etc/ssl/certs/by-hand.pem", makeCertificate("By hand").pem.trimEnd());
    const before = root.snapshot();
    const { error, detail } = await root.error({
      op: "install",
      nonce: "n-1",
      certificates: [file(makeCertificate("Harbor CA"))],
    });
    assert.equal(error, "bad-neighbour");
    assert.match(detail ?? "", /by-hand\.pem/);
    const now = root.snapshot();
    assert.deepEqual({ ...now, "run/tkc-registry.lock": "" }, { ...before, "run/tkc-registry.lock": "" });
  });

  it("finishes an exchange of certificates that was killed, or removes all of it", async () => {
    const root = makeRoot();
    const before = root.snapshot();
    const [first, second] = [makeCertificate("Harbor CA"), makeCertificate("Another CA")];
    await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
    root.write("lab/hold", "");
    fs.rmSync(root.at("lab/rehashing"));
    const child = root.begin({ op: "install", nonce: "n-2", certificates: [file(second)] });
    await until(() => fs.existsSync(root.at("lab/rehashing")));
    process.kill(-child.pid!, "SIGKILL");
    root.write("lab/dead", "");
    fs.rmSync(root.at("lab/hold"));
    await until(() => fs.existsSync(root.at("lab/died")));
    fs.rmSync(root.at("lab/dead"));
    assert.ok(root.trusted().includes(first.sha256), "it was killed before the rebuild");
    assert.deepEqual((await root.succeed({ op: "status" })).nonce, undefined);
    // As a run leaves it that is killed while it writes.
    root.write("etc/ssl/certs/.tkc-registry-x.new", "half");
    root.write("var/lib/tkc-registry/new/owner-0123456789abcdef", "half");
    await root.succeed({ op: "remove" });
    assert.deepEqual(root.snapshot(), before);
  });

  it("names the neighbour without final newline, whatever it is called and whatever is beside it", async () => {
    const root = makeRoot();
    const certificate = file(makeCertificate("Harbor CA"));
    await root.succeed({ op: "install", nonce: "n-1", certificates: [certificate] });
    const place = `etc/ssl/certs/${certificate.name}.pem`;
    root.write(place, root.read(place).trimEnd());
    root.write("etc/ssl/certs/empty.pem", "");
    root.write("etc/ssl/certs/by hand*.pem", makeCertificate("By hand").pem.trimEnd());
    const { error, detail } = await root.error({ op: "install", nonce: "n-2", certificates: [certificate] });
    assert.equal(error, "bad-neighbour");
    assert.match(detail ?? "", /by hand\*\.pem does not end/);
    root.write("etc/ssl/certs/by hand*.pem", `${root.read("etc/ssl/certs/by hand*.pem")}\n`);
    const report = await root.succeed({ op: "install", nonce: "n-3", certificates: [certificate] });
    assert.deepEqual(report.trusted, [certificate.sha256]);
  });

  it("repairs its own file when that lost its final newline", async () => {
    const root = makeRoot();
    const certificate = file(makeCertificate("Harbor CA"));
    await root.succeed({ op: "install", nonce: "n-1", certificates: [certificate] });
    const place = `etc/ssl/certs/${certificate.name}.pem`;
    const good = root.read(place);
    root.write(place, good.trimEnd());
    const report = await root.succeed({ op: "install", nonce: "n-2", certificates: [certificate] });
    assert.equal(report.changed, true);
    assert.equal(root.read(place), good);
  });
});
