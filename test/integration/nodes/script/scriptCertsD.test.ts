import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import { it } from "node:test";
import type { NodeCertificate } from "../../../../nodes/script/script";
import { containerdConfig, type FakeRoot, file } from "./fakeRoot";
import { describeOn, killedAnywhere } from "./onNodes";

const folder = "etc/containerd/certs.d";

/** Where its file is, unless the registry has a folder already. */
function place({ name, registry }: NodeCertificate): string {
  return `${folder}/${registry}/${name}.crt`;
}

describeOn(
  "the node script with containerd's folders",
  [
    ["photon", "dash"],
    ["debian", "bash"],
    ["rhel", "dash"],
  ],
  (nodes) => {
    const { first, second } = nodes;
    const makeRoot = (configPath = `/${folder}`, version: 2 | 3 = 2): FakeRoot => {
      const root = nodes.makeRoot();
      root.write("lab/containerd.toml", containerdConfig(version, configPath));
      return root;
    };
    const inFolders = (...certificates: NodeCertificate[]) =>
      ({ op: "install", nonce: "n-1", trust: "certs.d", certificates }) as const;
    const inStore = (...certificates: NodeCertificate[]) =>
      ({ op: "install", nonce: "n-2", trust: "system", certificates }) as const;
    const mkdir = (root: FakeRoot, name: string): void => {
      fs.mkdirSync(root.at(name), { recursive: true });
    };
    /** What containerd would load: every `.crt` in the folder of a registry. */
    const loadable = (root: FakeRoot, registry = "harbor.example"): string[] =>
      fs.existsSync(root.at(folder, registry))
        ? fs.readdirSync(root.at(folder, registry)).filter((name) => name.endsWith(".crt"))
        : [];

    it("puts each certificate into the folder of its registry, and touches nothing else", async () => {
      for (const version of [2, 3] as const) {
        const root = makeRoot(`/${folder}`, version);
        const store = root.snapshot();
        const certificates = [file(first), file(second, "10.0.0.1:5000"), file(second, "[fd00::1]:8443")];
        const report = await root.succeed(inFolders(...certificates));
        assert.deepEqual(report.trusted, [first.sha256, second.sha256]);
        assert.deepEqual(
          [report.trust, report.changed, report.loaded, report.restarted],
          ["certs.d", true, true, false],
        );
        assert.equal(root.read(place(certificates[0]!)), first.pem);
        assert.equal(root.read(place(certificates[1]!)), second.pem);
        assert.equal(root.read(place(certificates[2]!)), second.pem);
        assert.equal(fs.statSync(root.at(place(certificates[0]!))).mode & 0o777, 0o644);
        const now = root.snapshot();
        for (const [name, content] of Object.entries(store)) assert.equal(now[name], content, name);
        assert.equal(root.lines("lab/rehashes"), 1, "when the root was made");
        const before = root.snapshot(true);
        const again = await root.succeed({ ...inFolders(...certificates), nonce: "n-2" });
        assert.deepEqual([again.changed, again.nonce], [false, "n-2"]);
        assert.deepEqual(root.snapshot(true), before);
        const restart = await root.succeed({ op: "restart" });
        assert.deepEqual([restart.restarted, restart.loaded, restart.trust], [false, true, "certs.d"]);
        assert.deepEqual(restart.trusted, report.trusted);
        const status = await root.succeed({ op: "status" });
        assert.deepEqual([status.trusted, status.present], [report.trusted, report.trusted]);
        const removed = await root.succeed({ op: "remove" });
        assert.deepEqual([removed.changed, removed.restarted, removed.trust], [true, false, undefined]);
        assert.deepEqual(root.snapshot(), store);
        assert.equal(root.lines("lab/rehashes"), 1);
        assert.equal(root.lines("lab/restarts"), 0);
      }
    });

    it("asks containerd only where that matters", async () => {
      const root = makeRoot();
      await root.succeed(inStore(file(first)));
      await root.succeed({ op: "status" });
      await root.succeed({ op: "restart" });
      await root.succeed({ op: "remove" });
      assert.equal(root.lines("lab/dumps"), 0);
      await root.succeed(inFolders(file(first)));
      await root.succeed({ op: "status" });
      await root.succeed({ op: "restart" });
      await root.succeed({ op: "remove" });
      assert.equal(root.lines("lab/dumps"), 3);
    });

    it("uses the folder that containerd uses, and leaves what is in it", async () => {
      const root = makeRoot();
      const certificate = file(first, "harbor.example:5000");
      mkdir(root, `${folder}/harbor.example_5000_`);
      mkdir(root, `${folder}/harbor.example:5000`);
      mkdir(root, `${folder}/_default`);
      root.write(`${folder}/_default/hosts.toml`, "[host]\n");
      root.write(`${folder}/harbor.example_5000_/by-hand.crt`, second.pem);
      root.write(`${folder}/harbor.example_5000_/hosts.toml`, "");
      root.write("etc/containerd/config.toml", "");
      fs.utimesSync(root.at("etc/containerd/config.toml"), 1e9, 1e9);
      const before = root.snapshot();
      const { trusted } = await root.succeed(inFolders(certificate));
      assert.deepEqual(trusted, [first.sha256]);
      assert.equal(root.read(`${folder}/harbor.example_5000_/${certificate.name}.crt`), first.pem);
      assert.equal(root.read(place(certificate)), "");
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("follows a list of folders where containerd does", async () => {
      const root = makeRoot("/etc/missing:/etc/containerd/one:/etc/containerd/two/");
      mkdir(root, "etc/containerd/one");
      mkdir(root, "etc/containerd/two/second.example");
      const before = root.snapshot();
      const certificates = [file(first), file(second, "second.example")];
      await root.succeed(inFolders(...certificates));
      assert.equal(
        root.read(`etc/containerd/one/harbor.example/${certificates[0]!.name}.crt`),
        first.pem,
        "the first folder that is there",
      );
      assert.equal(
        root.read(`etc/containerd/two/second.example/${certificates[1]!.name}.crt`),
        second.pem,
        "the folder that the registry has",
      );
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("writes nothing where containerd would not read it or somebody else's would not be read", async () => {
      const root = makeRoot();
      const start = root.snapshot();
      const certificate = file(first, "harbor.example:5000");
      const toml =
        (where: string, text = '[host."https://mirror.example"]\n') =>
        (): void => {
          mkdir(root, `${folder}/${where}`);
          root.write(`${folder}/${where}/hosts.toml`, text);
        };
      const config = (text: string) => (): void => root.write("lab/containerd.toml", text);
      const cases: [name: string, error: string, detail: RegExp, obstacle: () => void][] = [
        ["no config_path", "missing", /no config_path/, config(containerdConfig(2, ""))],
        ["none in version 3", "missing", /no config_path/, config(containerdConfig(3, ""))],
        [
          "the other version's table",
          "missing",
          /no config_path/,
          config(containerdConfig(2, `/${folder}`).replace("version = 2", "version = 3")),
        ],
        ["not absolute", "missing", /not absolute/, config(containerdConfig(2, "certs.d"))],
        // As containerd 2 is delivered: containerd#12808.
        [
          "a list in version 3",
          "missing",
          /list/,
          config(containerdConfig(3, `/${folder}:/etc/docker/certs.d`)),
        ],
        [
          "no configuration",
          "missing",
          /config dump failed/,
          () => fs.rmSync(root.at("lab/containerd.toml")),
        ],
        [
          "changed since containerd started",
          "missing",
          /changed after containerd had started/,
          () => {
            root.write("etc/containerd/config.toml", "");
            const later = Date.now() / 1000 + 60;
            fs.utimesSync(root.at("etc/containerd/config.toml"), later, later);
          },
        ],
        ["hosts.toml", "taken", /harbor\.example:5000\/hosts\.toml/, toml("harbor.example:5000")],
        ["hosts.toml in the other name", "taken", /5000_\/hosts\.toml/, toml("harbor.example_5000_")],
        [
          "our name in a comment",
          "taken",
          /hosts\.toml/,
          toml("harbor.example:5000", ` # ca = "${certificate.name}.crt"\n[host]\n`),
        ],
        ["_default", "taken", /_default, which has hosts\.toml/, toml("_default")],
        [
          "_default with a certificate",
          "taken",
          /_default, which has ca\.crt/,
          () => {
            mkdir(root, `${folder}/_default`);
            root.write(`${folder}/_default/ca.crt`, second.pem);
          },
        ],
        [
          "not a folder",
          "taken",
          /is not a folder/,
          () => {
            mkdir(root, folder);
            root.write(`${folder}/harbor.example:5000`, "");
          },
        ],
      ];
      for (const [name, error, detail, obstacle] of cases) {
        obstacle();
        const before = root.snapshot();
        const failed = await root.error(inFolders(certificate));
        assert.equal(failed.error, `certs-d-${error}`, name);
        assert.match(failed.detail ?? "", detail, name);
        assert.deepEqual(root.snapshot(), before, name);
        const report = await root.succeed({ ...inFolders(file(second), certificate), trust: "auto" });
        assert.deepEqual([report.trust, report.loaded], ["system", false], name);
        assert.deepEqual(report.trusted, [second.sha256, first.sha256], name);
        await root.succeed({ op: "remove" });
        assert.deepEqual(root.snapshot(), before, name);
        fs.rmSync(root.at(folder), { recursive: true, force: true });
        fs.rmSync(root.at("etc/containerd/config.toml"), { force: true });
        config(containerdConfig(2, `/${folder}`))();
      }
      toml(
        "harbor.example:5000",
        `[host."https://harbor.example:5000"]\n  ca = "${certificate.name}.crt"\n`,
      )();
      const report = await root.succeed({ ...inFolders(certificate), trust: "auto" });
      assert.deepEqual([report.trust, report.trusted], ["certs.d", [first.sha256]], "it names our file");
      await root.succeed({ op: "remove" });
      fs.rmSync(root.at(folder), { recursive: true, force: true });
      assert.deepEqual(root.snapshot(), start);
    });

    it("reports only what containerd reads, and tells files that are gone from those that are not read", async () => {
      const root = makeRoot();
      const certificates = [file(first), file(second, "second.example:5000")];
      await root.succeed(inFolders(...certificates));
      const ours = place(certificates[0]!);
      const state = root.snapshot();
      const alterations: [name: string, present: boolean, alter: () => void, repair: () => void][] = [
        ["altered", false, () => root.write(ours, `${first.pem}\n`), () => root.write(ours, first.pem)],
        ["gone", false, () => fs.rmSync(root.at(ours)), () => root.write(ours, first.pem)],
        [
          "a link",
          false,
          () => {
            root.write("lab/copy", first.pem);
            fs.rmSync(root.at(ours));
            fs.symlinkSync("/lab/copy", root.at(ours));
          },
          () => {
            fs.rmSync(root.at(ours));
            root.write(ours, first.pem);
          },
        ],
        [
          "a folder",
          false,
          () => {
            fs.rmSync(root.at(ours));
            fs.mkdirSync(root.at(ours));
          },
          () => {
            fs.rmdirSync(root.at(ours));
            root.write(ours, first.pem);
          },
        ],
        [
          "switched off",
          true,
          () => root.write(`${folder}/harbor.example/hosts.toml`, "[host]\n"),
          () => fs.rmSync(root.at(folder, "harbor.example/hosts.toml")),
        ],
      ];
      for (const [name, present, alter, repair] of alterations) {
        alter();
        const status = await root.succeed({ op: "status" });
        assert.deepEqual(status.trusted, [second.sha256], name);
        assert.deepEqual(status.present, present ? [first.sha256, second.sha256] : [second.sha256], name);
        assert.deepEqual((await root.succeed({ op: "restart" })).trusted, [second.sha256], name);
        repair();
        assert.deepEqual(root.snapshot(), state, name);
      }
      mkdir(root, `${folder}/second.example_5000_`);
      assert.deepEqual(
        (await root.succeed({ op: "status" })).trusted,
        [first.sha256],
        "another folder counts",
      );
      fs.rmdirSync(root.at(folder, "second.example_5000_"));
      const changed = root.at("etc/containerd/config.toml");
      fs.writeFileSync(changed, "");
      fs.utimesSync(changed, Date.now() / 1000 + 60, Date.now() / 1000 + 60);
      assert.equal((await root.succeed(inFolders(...certificates))).changed, false, "nothing new is planned");
      root.write("lab/containerd.toml", containerdConfig(2, "/etc/containerd/elsewhere"));
      assert.equal((await root.error(inFolders(...certificates))).error, "certs-d-missing");
      fs.rmSync(changed);
      const status = await root.succeed({ op: "status" });
      assert.deepEqual([status.trusted, status.present], [[], [first.sha256, second.sha256]]);
      const moved = await root.succeed(inFolders(...certificates));
      assert.deepEqual(moved.trusted, [first.sha256, second.sha256]);
      assert.ok(!fs.existsSync(root.at(folder)), "what we made at the old place is gone");
      fs.rmSync(root.at(`etc/containerd/elsewhere/harbor.example/${certificates[0]!.name}.crt`));
      const repaired = await root.succeed(inFolders(...certificates));
      assert.deepEqual([repaired.changed, repaired.trusted], [true, [first.sha256, second.sha256]]);
    });

    it("changes from one way to the other and back", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed(inStore(file(first), file(second)));
      await root.succeed({ op: "restart" });
      const folders = await root.succeed(inFolders(file(first), file(second)));
      assert.deepEqual([folders.trust, folders.loaded], ["certs.d", false], "the bundle changed");
      assert.deepEqual(folders.trusted, [first.sha256, second.sha256]);
      assert.ok(!root.trusted().includes(first.sha256));
      assert.equal((await root.succeed({ op: "restart" })).restarted, true);
      assert.equal((await root.succeed({ op: "restart" })).restarted, false);
      const store = await root.succeed(inStore(file(first)));
      assert.deepEqual([store.trust, store.loaded, store.trusted], ["system", false, [first.sha256]]);
      assert.deepEqual(loadable(root), [`${file(first).name}.crt`], "containerd needs it until its restart");
      const again = await root.succeed(inStore(file(first)));
      assert.equal(loadable(root).length, 1);
      assert.equal(again.loaded, false);
      const restart = await root.succeed({ op: "restart" });
      assert.deepEqual([restart.restarted, restart.trusted], [true, [first.sha256]]);
      assert.ok(!fs.existsSync(root.at(folder)), "nothing is left there");
      assert.equal((await root.succeed({ op: "status" })).nonce, "n-2");
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("removes one registry's files only, and all that it made with the last", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const both = [file(first), file(first, "harbor.example:443"), file(second, "second.example")];
      const all = await root.succeed(inFolders(...both));
      assert.deepEqual(all.trusted, [first.sha256, second.sha256]);
      const left = await root.succeed(inFolders(both[1]!, both[2]!));
      assert.deepEqual(left.trusted, [first.sha256, second.sha256]);
      assert.ok(!fs.existsSync(root.at(folder, "harbor.example")));
      assert.equal(root.read(place(both[1]!)), first.pem, "of the same certificate for another registry");
      root.write(`${folder}/second.example/by-hand.crt`, second.pem);
      await root.succeed({ op: "remove" });
      assert.deepEqual(fs.readdirSync(root.at(folder)), ["second.example"]);
      assert.deepEqual(fs.readdirSync(root.at(folder, "second.example")), ["by-hand.crt"]);
      fs.rmSync(root.at(folder), { recursive: true });
      assert.deepEqual(root.snapshot(), before);
    });

    it("keeps what another stack put there too until the last one leaves", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed(inFolders(file(first)));
      const other = { owner: "other" };
      assert.equal((await root.succeed({ ...inFolders(file(first)), ...other })).changed, false);
      await root.succeed({ ...inStore(file(first)), owner: "third" });
      await root.succeed({ op: "remove" });
      assert.equal(root.read(place(file(first))), first.pem);
      assert.deepEqual((await root.succeed({ op: "status", ...other })).trusted, [first.sha256]);
      await root.succeed({ op: "remove", ...other });
      assert.ok(!fs.existsSync(root.at(folder)), "a folder of one that left before");
      assert.deepEqual((await root.succeed({ op: "status", owner: "third" })).trusted, [first.sha256]);
      await root.succeed({ op: "remove", owner: "third" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("takes over a record of an earlier release without a restart", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed(inStore(file(first), file(second)));
      await root.succeed({ op: "restart" });
      const state = root.at("var/lib/tkc-registry");
      const record = `var/lib/tkc-registry/${fs.readdirSync(state).find((name) => name.startsWith("owner-"))}`;
      const earlier = root.read(record).replace(/^(certificate=\S+ \S+ \S+) .*$/gm, "$1");
      assert.notEqual(earlier, root.read(record));
      root.write(record, earlier);
      const status = await root.succeed({ op: "status" });
      assert.deepEqual([status.trust, status.loaded], ["system", true]);
      assert.deepEqual(status.trusted, [first.sha256, second.sha256]);
      const report = await root.succeed(inStore(file(first), file(second)));
      assert.deepEqual([report.changed, report.loaded], [false, true]);
      assert.match(root.read(record), / harbor\.example$/m);
      root.write(record, earlier);
      const folders = await root.succeed(inFolders(file(first)));
      assert.deepEqual([folders.trust, folders.trusted], ["certs.d", [first.sha256]]);
      root.write(record, earlier);
      await root.succeed(inStore(file(first)));
      await root.succeed({ op: "remove" });
      fs.rmSync(root.at(folder), { recursive: true });
      assert.deepEqual(root.snapshot(), before);
    });

    it("refuses registries that are none, and ways that it does not know", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const good = file(first);
      for (const registry of [
        "",
        "..",
        "a..b",
        "../etc",
        "a/b",
        "_default",
        "harbor_example",
        ".example",
        "-x",
        "fd00::1",
        "[fd00::1",
        "[]",
        "[fd00::g]",
        "[fd00::1]5000",
        "harbor.example:",
        "harbor.example:http",
        "harbor.example:123456",
        "harbor.example:1:2",
        "har*",
        "$(id)",
        "x".repeat(256),
      ]) {
        const { error } = await root.error(inFolders({ ...good, registry }));
        assert.equal(error, "bad-parameter", registry);
      }
      const twoWords = inFolders({ ...good, registry: "harbor.example more" });
      await assert.rejects(root.error(twoWords), /node-bad-parameter/, "not sent to the script at all");
      const { error } = await root.error(inFolders(good, { ...file(second), name: good.name }));
      assert.equal(error, "bad-parameter", "two certificates of one name");
      const { stdout } = await root.run(inFolders(good), (input) =>
        input.replace("trust certs.d", "trust all"),
      );
      assert.match(stdout, /^error=bad-parameter$/m);
      assert.deepEqual(root.snapshot(), before);
    });

    it("never loses a certificate and never shows half of one, whenever it is killed", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const others = root.trusted();
      const certificate = file(first);
      const trustedSomehow = (): boolean =>
        root.trusted().includes(first.sha256) || root.read(place(certificate)) === first.pem;
      const steps = [
        [undefined, inFolders(certificate)],
        [inStore(certificate), inFolders(certificate)],
        [inFolders(certificate), inStore(certificate)],
        [inFolders(certificate), { op: "restart" }],
        [inFolders(certificate, file(second)), inFolders(certificate)],
        [inFolders(certificate), { op: "remove" }],
        [undefined, inStore(certificate)],
        [inStore(certificate), { op: "remove" }],
      ] as const;
      for (const [index, [start, step]] of steps.entries()) {
        await killedAnywhere(root, 2 * index + { photon: 0, debian: 4, rhel: 8 }[nodes.family], {
          start: async () => {
            if (start) await root.succeed(start);
            if (index === 3) await root.succeed(inStore(certificate));
          },
          step: () => root.run(step),
          check: async (when) => {
            const where = `step ${index}, ${when}`;
            for (const name of loadable(root)) {
              const pem = root.read(`${folder}/harbor.example/${name}`);
              assert.ok(pem === first.pem || pem === second.pem, where);
            }
            assert.deepEqual(
              others.filter((sha256) => !root.trusted().includes(sha256)),
              [],
              where,
            );
            if (start && step.op !== "remove") assert.ok(trustedSomehow(), where);
            if (step.op === "install") {
              const report = await root.succeed(step);
              assert.deepEqual([report.trusted, report.trust], [[first.sha256], step.trust], where);
              assert.ok(
                loadable(root).every((name) => name === `${certificate.name}.crt`),
                where,
              );
            }
            await root.succeed({ op: "remove" });
            assert.deepEqual(root.snapshot(), before, where);
          },
        });
      }
    });

    it("takes away what a run that was killed put aside", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed(inFolders(file(first)));
      root.write(`${folder}/harbor.example/.tkc-registry-x.new`, "half");
      await root.succeed(inFolders(file(second)));
      assert.deepEqual(fs.readdirSync(root.at(folder, "harbor.example")), [`${file(second).name}.crt`]);
      root.write(`${folder}/harbor.example/.tkc-registry-x.new`, "half");
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });
  },
);
