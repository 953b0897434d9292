import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { it } from "node:test";
import { nodeScript, remoteCommand, type NodeCertificate } from "../../../../nodes/script/script";
import { file, makeCertificate } from "./fakeRoot";
import { describeOn, replaceTool, until } from "./onNodes";

describeOn(
  "the node script",
  [
    ["photon", "bash"],
    ["debian", "dash"],
    ["rhel", "bash"],
  ],
  ({ family, makeRoot, first, second }) => {
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
      assert.deepEqual(report.alsoTrustedBy, [`${root.links}/harbor-registy.crt`]);
      assert.ok(root.trusted().includes(first.sha256));
      const removed = await root.succeed({ op: "remove" });
      assert.deepEqual(removed.alsoTrustedBy, [`${root.links}/harbor-registy.crt`]);
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
        `${root.links}/'quoted' "$(x)" \\.crt`,
        `${root.links}/-n`,
        `${root.links}/Gr????e.crt`,
        `${root.links}/a=b`,
        `${root.links}/star*[ab]?.crt`,
        `${root.links}/two?lines.crt`,
        `${root.links}/with  two spaces.crt`,
        "/lab/elsewhere.crt",
        ...(family === "rhel" ? [] : ["/usr/local/share/ca-certificates/by hand/harbor.txt"]),
      ];
      assert.deepEqual(report.alsoTrustedBy, expected.slice(0, 8), "no more than eight");
      const removed = await root.succeed({ op: "remove" });
      assert.deepEqual(removed.alsoTrustedBy, expected.slice(0, 8));
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
        fs.rmSync(root.at("run/tkc-registry.lock"), { force: true });
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
      root.drop(root.tool);
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
  },
);

describeOn(
  "the node script, too,",
  [
    ["photon", "dash"],
    ["debian", "bash"],
  ],
  ({ makeRoot, first }) => {
    it("comes and goes without a trace", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed({ op: "install", nonce: "n-1", certificates: [file(first)] });
      assert.ok(root.trusted().includes(first.sha256));
      await root.succeed({ op: "restart" });
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });
  },
);

describeOn(
  "the node script, where the bundle is files put end to end,",
  [["photon", "dash"]],
  ({ makeRoot, first }) => {
    const install = { op: "install", nonce: "n-1", certificates: [file(first)] } as const;

    it("goes on to its end when the client is cut off", async () => {
      const root = makeRoot();
      root.write("lab/hold", "");
      const restore = replaceTool(
        root,
        "sync",
        '#!/bin/sh\ntouch /lab/syncing\nwhile [ -e /lab/hold ]; do sleep 0.05; done\nexec /hostbin/sync "$@"\n',
      );
      const child = root.begin(install);
      await until(() => fs.existsSync(root.at("lab/syncing")));
      child.stdout?.destroy();
      child.stderr?.destroy();
      process.kill(-child.pid!, "SIGHUP");
      fs.rmSync(root.at("lab/hold"));
      await new Promise((resolve) => child.on("close", resolve));
      restore();
      assert.ok(root.trusted().includes(first.sha256));
      const report = await root.succeed({ ...install, nonce: "n-2" });
      assert.equal(report.changed, false);
    });

    it("takes away what a run that was killed put aside", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed(install);
      root.write("etc/ssl/certs/.tkc-registry-x.new", "half");
      root.write("etc/pki/tls/certs/.tkc-registry-bundle.new", "half");
      root.write("var/lib/tkc-registry/new/owner-0123456789abcdef", "half");
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("names the neighbours by which the system's next rebuild would lose ours, and installs beside them", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      root.write("etc/ssl/certs/empty.pem", "");
      root.write("etc/ssl/certs/by hand*.pem", makeCertificate("By hand").pem.trimEnd());
      const report = await root.succeed(install);
      assert.deepEqual(report.trusted, [first.sha256]);
      assert.deepEqual(report.unterminated, ["/etc/ssl/certs/by hand*.pem"]);
      assert.deepEqual((await root.succeed({ op: "status" })).unterminated, report.unterminated);
      await root.succeed({ op: "remove" });
      for (const name of ["empty.pem", "by hand*.pem"]) fs.rmSync(root.at("etc/ssl/certs", name));
      assert.deepEqual(root.snapshot(), before);
    });

    it("repairs its own file when that lost its final newline", async () => {
      const root = makeRoot();
      await root.succeed(install);
      const place = `etc/ssl/certs/${file(first).name}.pem`;
      const good = root.read(place);
      root.write(place, good.trimEnd());
      const report = await root.succeed({ ...install, nonce: "n-2" });
      assert.equal(report.changed, true);
      assert.equal(root.read(place), good);
    });
  },
);
