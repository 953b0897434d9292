import * as assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { it } from "node:test";
import * as path from "node:path";
import { all } from "../../../all";
import { type Certificate, type FakeRoot, file, makeCertificate } from "./fakeRoot";
import { describeOn, killedAnywhere, replaceTool } from "./onNodes";

const links = "etc/ssl/certs";
const hashOf = ({ pem }: Certificate): string =>
  execFileSync("openssl", ["x509", "-hash", "-noout"], { input: pem, encoding: "utf8" }).trim();
const target = (root: FakeRoot, link: string): string | undefined =>
  fs.lstatSync(root.at(links, link), { throwIfNoEntry: false })
    ? fs.readlinkSync(root.at(links, link))
    : undefined;

describeOn(
  "the node script beside other people's CAs",
  [
    ["photon", "bash"],
    ["debian", "dash"],
    ["rhel", "bash"],
  ],
  ({ family, makeRoot, first, second }) => {
    const install = { op: "install", nonce: "n-1", certificates: [file(first)] } as const;
    const put = (root: FakeRoot, name: string, { pem }: Certificate): void =>
      root.write(`${root.store}/${name}${root.extension}`, pem);
    const append = (root: FakeRoot, { pem }: Certificate): void =>
      fs.appendFileSync(root.at(root.bundle), pem);
    /** A test of the store's hash links; those that update-ca-trust makes lead to copies of its own. */
    const itLinks = (name: string, test: () => Promise<void>): void => {
      if (family !== "rhel") void it(name, test);
    };

    it("makes of the store what the system's own tool would have made", async () => {
      const root = makeRoot();
      await root.succeed(install);
      const ours = root.snapshot();
      const trusted = root.trusted();
      root.rebuild();
      // update-ca-trust has an order of its own, adds names, and makes copies.
      if (family === "rhel") assert.deepEqual(root.trusted().sort(), trusted.sort());
      else assert.deepEqual(root.snapshot(), ours);
    });

    it("keeps what was put into the bundle by hand, and wakes nothing that was not trusted", async () => {
      const root = makeRoot();
      const [byHand, dormant, cutOut] = ["By hand", "Dormant", "Cut out"].map(makeCertificate) as [
        Certificate,
        Certificate,
        Certificate,
      ];
      put(root, "cut-out", cutOut);
      root.rebuild();
      root.write(root.bundle, root.read(root.bundle).replace(cutOut.pem, ""));
      fs.rmSync(root.at(links, `${hashOf(cutOut)}.0`));
      append(root, byHand);
      put(root, "dormant", dormant);
      const before = root.snapshot();
      const trusted = root.trusted();
      await root.succeed(install);
      assert.deepEqual(root.trusted(), [...trusted, first.sha256]);
      assert.equal(target(root, `${hashOf(dormant)}.0`), undefined);
      await root.succeed({ ...install, certificates: [file(second)] });
      assert.deepEqual(root.trusted(), [...trusted, second.sha256]);
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("is well after the rebuilds of others, and leaves what they would have made without us", async () => {
      const corporate = makeCertificate("Corporate CA");
      const [root, without] = [makeRoot(), makeRoot()];
      await root.succeed(install);
      for (const each of [root, without]) {
        put(each, "z-corporate", corporate);
        each.rebuild();
      }
      const status = await root.succeed({ op: "status" });
      assert.deepEqual([status.trusted, status.present], [[first.sha256], [first.sha256]]);
      assert.equal((await root.succeed(install)).changed, false);
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), without.snapshot());
      root.rebuild();
      assert.deepEqual(root.snapshot(), without.snapshot());
    });

    it("keeps mode, owner and place of a bundle that is elsewhere, and a missing final newline", async () => {
      const root = makeRoot();
      fs.mkdirSync(root.at("etc/ssl/elsewhere"));
      fs.renameSync(root.at(root.bundle), root.at("etc/ssl/elsewhere/bundle"));
      fs.symlinkSync(
        path.relative(path.dirname(`/${root.bundle}`), "/etc/ssl/elsewhere/bundle"),
        root.at(root.bundle),
      );
      const real = root.at("etc/ssl/elsewhere/bundle");
      fs.writeFileSync(real, fs.readFileSync(real, "utf8").trimEnd());
      fs.chownSync(real, 12, 34);
      fs.chmodSync(real, 0o640);
      const before = root.snapshot();
      await root.succeed({ ...install, certificates: [file(first), file(second)] });
      const { mode, uid, gid } = fs.statSync(real);
      assert.deepEqual([mode & 0o777, uid, gid], [0o640, 12, 34]);
      assert.equal(root.trusted().length, 5, "one is without its newline");
      assert.ok(fs.readFileSync(real, "utf8").trimEnd().endsWith(second.pem.trimEnd()));
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("counts the copies of others, and takes none of them", async () => {
      for (const rebuilt of [false, true]) {
        const root = makeRoot();
        const clean = root.snapshot();
        append(root, first);
        const before = root.snapshot();
        await root.succeed(install);
        assert.equal(root.trusted().filter((sha256) => sha256 === first.sha256).length, 2);
        if (rebuilt) root.rebuild();
        const { alsoTrustedBy } = await root.succeed({ op: "remove" });
        assert.deepEqual(alsoTrustedBy, rebuilt ? [] : [`/${root.bundle}`]);
        assert.deepEqual(root.snapshot(), rebuilt ? clean : before, String(rebuilt));
      }
    });

    it("cuts every copy where nobody else has the certificate, and one where somebody has", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      await root.succeed(install);
      append(root, first);
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
      await root.succeed(install);
      put(root, "a-by-hand", first);
      root.rebuild();
      await root.succeed({ op: "remove" });
      assert.equal(root.trusted().filter((sha256) => sha256 === first.sha256).length, 1);
      root.rebuild();
      const after = root.snapshot();
      root.rebuild();
      assert.deepEqual(root.snapshot(), after);
    });

    itLinks(
      "closes the gap that its hash link leaves, and drops no link that others made meanwhile",
      async () => {
        const root = makeRoot();
        await root.succeed(install);
        const others = [makeCertificate("Harbor CA"), makeCertificate("Harbor CA"), makeCertificate("Other")];
        others.forEach((each, index) => put(root, `z-${index}`, each));
        root.rebuild();
        const hash = hashOf(first);
        assert.match(target(root, `${hash}.0`) ?? "", /^tkc-registry-/);
        // As earlier releases kept it: with it they dropped every link made since.
        root.write("var/lib/tkc-registry/names-before", "z-0.pem\nz-1.pem\nz-2.pem\n");
        await root.succeed({ op: "remove" });
        assert.deepEqual([target(root, `${hash}.0`), target(root, `${hash}.1`)].sort(), [
          "z-0.pem",
          "z-1.pem",
        ]);
        assert.equal(target(root, `${hash}.2`), undefined);
        assert.equal(target(root, `${hashOf(others[2]!)}.0`), "z-2.pem");
      },
    );

    itLinks(
      "leaves its hash link to another's file of the same certificate that had none because of it",
      async () => {
        const root = makeRoot();
        const hash = hashOf(first);
        await root.succeed(install);
        put(root, "z-same", first);
        root.rebuild();
        const linked = fs.readdirSync(root.at(links)).filter((name) => name.startsWith(hash));
        assert.deepEqual(linked, [`${hash}.0`], "the tool skips what is linked already");
        await root.succeed({ op: "remove" });
        assert.equal(target(root, `${hash}.0`), "z-same.pem");
        // What had no link before us gets none.
        fs.rmSync(root.at(links, `${hash}.0`));
        const before = root.snapshot();
        await root.succeed(install);
        assert.match(target(root, `${hash}.0`) ?? "", /^tkc-registry-/);
        await root.succeed({ op: "remove" });
        assert.deepEqual(root.snapshot(), before);
      },
    );

    itLinks("passes its hash link on among its own files of one certificate", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const hash = hashOf(first);
      const other = file(first, "other.example");
      await root.succeed(install);
      await root.succeed({ ...install, certificates: [other] });
      assert.equal(target(root, `${hash}.0`), `${other.name}.pem`);
      assert.equal(target(root, `${hash}.1`), undefined);
      await root.succeed({ ...install, owner: "other" });
      await root.succeed({ op: "remove" });
      assert.equal(target(root, `${hash}.0`), `${file(first).name}.pem`);
      assert.equal(root.trusted().filter((sha256) => sha256 === first.sha256).length, 1);
      await root.succeed({ op: "remove", owner: "other" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("makes no hash links where there is no openssl", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      root.drop("usr/bin/openssl");
      const { trusted } = await root.succeed(install);
      assert.deepEqual(trusted, [first.sha256]);
      assert.equal(target(root, `${hashOf(first)}.0`), undefined);
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
    });

    it("loses nothing that somebody writes into the bundle at the same moment", async () => {
      const corporate = makeCertificate("Corporate CA");
      // Before the new bundle takes its place, between that and the last look, and as Photon's tool does it: in place.
      for (const [tool, moment] of [
        ["sync", "*bundle.new*"],
        ["ln", "*bundle.held*"],
        ["mv", "*bundle.new*"],
      ] as const) {
        const root = makeRoot();
        root.write("lab/corporate.pem", corporate.pem);
        const restore = replaceTool(
          root,
          tool,
          `#!/bin/sh
case "$*" in ${moment})
  if [ ! -e /lab/written ]; then
    touch /lab/written
    cp /${root.bundle} /lab/whole
    cat /lab/whole /lab/corporate.pem >/${root.bundle}
  fi
esac
exec /hostbin/${tool} "$@"
`,
        );
        const trusted = root.trusted();
        await root.succeed(install);
        restore();
        assert.deepEqual(root.trusted(), [...trusted, corporate.sha256, first.sha256], tool);
      }
    });

    it("never replaces a bundle that is half-written, and says so", async () => {
      const root = makeRoot();
      const whole = root.read(root.bundle);
      const halves = [
        "",
        whole.slice(0, -10),
        whole.slice(0, 700),
        whole.split("\n").slice(0, -3).join("\n"),
      ];
      for (const half of halves.slice(0, all ? 4 : 2)) {
        root.write(root.bundle, half);
        const before = root.snapshot();
        const { error, detail } = await root.error(install);
        assert.equal(error, "bundle-shrank");
        assert.match(detail ?? "", /ends inside/);
        assert.deepEqual(root.snapshot(), before);
      }
      root.rebuild();
      assert.equal(root.read(root.bundle), whole);
      await root.succeed(install);
      root.write(root.bundle, root.read(root.bundle).slice(0, -10));
      assert.deepEqual((await root.succeed({ op: "status" })).trusted, []);
      await root.succeed({ op: "remove" });
      assert.equal(
        root.read(root.bundle),
        `${whole}${first.pem.slice(0, -10)}`,
        "ours is not in it any more",
      );
    });

    it("completes by the system's tool what an earlier release began, once", async () => {
      const root = makeRoot();
      const before = root.snapshot();
      const start = root.lines("lab/rehashes");
      await root.succeed(install);
      root.write("var/lib/tkc-registry/changed", "pending\n");
      root.write(root.bundle, first.pem);
      const good = root.read(root.tool);
      root.write(root.tool, "#!/bin/sh\necho out of order; exit 3\n");
      const failed = await root.error(install);
      assert.equal(failed.error, "rehash-failed");
      assert.match(Buffer.from(failed.log ?? "", "base64").toString(), /out of order/);
      root.write(root.tool, good);
      if (family === "photon") {
        put(root, "by-hand", { ...second, pem: second.pem.trimEnd() });
        assert.equal((await root.error(install)).error, "bad-neighbour");
        fs.rmSync(root.at(links, "by-hand.pem"));
      }
      const report = await root.succeed(install);
      assert.deepEqual([report.trusted, report.changed], [[first.sha256], true]);
      assert.equal(root.trusted().length, 5);
      assert.equal(root.lines("lab/rehashes"), start + 1);
      await root.succeed({ op: "remove" });
      assert.deepEqual(root.snapshot(), before);
      assert.equal(root.lines("lab/rehashes"), start + 1);
    });

    it("takes no more and no less than its own, whenever it is killed", async () => {
      const root = makeRoot();
      put(root, "z-same", first);
      root.rebuild();
      append(root, second);
      const before = root.snapshot();
      const both = { ...install, certificates: [file(first), file(second)] };
      const steps = [
        [undefined, both],
        [both, { op: "remove" }],
        [both, install],
      ] as const;
      for (const [index, [start, step]] of steps.entries()) {
        await killedAnywhere(root, 2 * index + { photon: 0, debian: 4, rhel: 8 }[family], {
          start: async () => {
            if (start) await root.succeed(start);
          },
          step: () => root.run(step),
          check: async (when) => {
            const where = `step ${index}, ${when}`;
            if (step.op === "install") {
              const { trusted } = await root.succeed(step);
              assert.deepEqual(
                trusted,
                step.certificates.map(({ sha256 }) => sha256),
                where,
              );
            }
            await root.succeed({ op: "remove" });
            assert.deepEqual(root.snapshot(), before, where);
          },
        });
      }
    });
  },
);

describeOn("the node script beside update-ca-trust", [["rhel", "dash"]], ({ makeRoot, first, second }) => {
  const install = { op: "install", nonce: "n-1", certificates: [file(first)] } as const;
  const copies = "etc/pki/ca-trust/extracted/pem/directory-hash";

  it("takes what that made of ours, and closes the gaps, in each of its places", async () => {
    const [root, without] = [makeRoot(), makeRoot()];
    await root.succeed(install);
    const others = [makeCertificate("Harbor CA"), makeCertificate("Harbor CA")];
    for (const each of [root, without]) {
      others.forEach(({ pem }, index) => each.write(`${each.store}/z-${index}.pem`, pem));
      each.rebuild();
    }
    const hash = hashOf(first);
    assert.equal(fs.readdirSync(root.at(copies)).filter((name) => name.startsWith(hash)).length, 3);
    assert.equal(fs.readdirSync(root.at(links)).filter((name) => name.startsWith(hash)).length, 3);
    await root.succeed({ op: "remove" });
    for (const folder of [copies, links]) {
      const left = fs.readdirSync(root.at(folder)).filter((name) => name.startsWith(hash));
      assert.deepEqual(left, [`${hash}.0`, `${hash}.1`], folder);
      const read = left.map((name) => root.read(`${folder}/${name}`).trim());
      assert.deepEqual(read.sort(), others.map(({ pem }) => pem.trim()).sort(), folder);
    }
    assert.ok(!root.read(root.bundle).includes(first.pem));
    root.rebuild();
    assert.deepEqual(root.snapshot(), without.snapshot());
  });

  it("leaves what others feed it: anchors, the defaults, and what `trust anchor` stored", async () => {
    for (const place of [
      "etc/pki/ca-trust/source/anchors/.by-hand.new",
      "etc/pki/ca-trust/source/By_hand.p11-kit",
      "usr/share/pki/ca-trust-source/anchors/vendor.crt",
    ]) {
      const root = makeRoot();
      await root.succeed(install);
      root.write(place, `[p11-kit-object-v1]\ntrusted: true\n${first.pem}`);
      root.rebuild();
      const { alsoTrustedBy } = await root.succeed({ op: "remove" });
      assert.deepEqual(alsoTrustedBy, [`/${place}`]);
      assert.equal(root.trusted().filter((sha256) => sha256 === first.sha256).length, 1, place);
      assert.equal(root.read(`${copies}/Harbor_CA.pem`).trim(), first.pem.trim());
      const after = root.trusted().sort();
      root.rebuild();
      assert.deepEqual(root.trusted().sort(), after);
    }
  });

  it("puts nothing aside where that would read it, and takes away what a run that was killed left", async () => {
    const root = makeRoot();
    const before = root.snapshot();
    const seen = replaceTool(
      root,
      "mv",
      '#!/bin/sh\nls -A /etc/pki/ca-trust/source/anchors >>/lab/anchors\nexec /hostbin/mv "$@"\n',
    );
    await root.succeed(install);
    seen();
    assert.doesNotMatch(root.read("lab/anchors"), /^\./m);
    root.write("etc/pki/ca-trust/.tkc-registry-x.new", "half");
    root.write("etc/pki/ca-trust/extracted/pem/.tkc-registry-bundle.new", "half");
    await root.succeed({ op: "remove" });
    assert.deepEqual(root.snapshot(), before);
  });

  it("reads the bundle that Go reads first, whoever makes it", async () => {
    const root = makeRoot();
    const bundles = [
      "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
      "etc/pki/tls/cacert.pem",
      "etc/ssl/ca-bundle.pem",
      "etc/pki/tls/certs/ca-bundle.crt",
      "etc/ssl/certs/ca-certificates.crt",
    ];
    root.drop("etc/pki/tls/certs/ca-bundle.crt");
    for (const [index, bundle] of bundles.entries()) {
      if (index > 0) root.write(bundle, root.read(root.bundle));
      const report = await root.succeed({ op: "status" });
      assert.equal(report.bundle, `/${bundle.replace("etc/ssl/certs", "etc/pki/tls/certs")}`);
    }
    await root.succeed(install);
    assert.ok(root.read("etc/ssl/certs/ca-certificates.crt").endsWith(first.pem));
    await root.succeed({ op: "remove" });
    assert.equal(root.read("etc/ssl/certs/ca-certificates.crt"), root.read(root.bundle));
  });

  it("gives files the labels of their places where the node has SELinux, and needs none of it", async () => {
    const root = makeRoot();
    root.program("usr/sbin/restorecon", '#!/bin/sh\nprintf "%s\\n" "$@" >>/lab/labelled\nexit 1\n');
    await root.succeed({ ...install, certificates: [file(first), file(second)] });
    assert.deepEqual(
      root.read("lab/labelled").trim().split("\n"),
      [first, second].map((each) => `/${root.store}/${file(each).name}.pem`),
    );
  });
});
