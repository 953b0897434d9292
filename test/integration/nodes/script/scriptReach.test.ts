/** What nodes see of registries, by the script, with real shells, OpenSSL and TLS servers on loopback. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type AddressInfo, type Server, createServer } from "node:net";
import { after, before, it } from "node:test";
import { parseReachOutput, type Sight } from "../../../../nodes/protocol/report";
import { Pki } from "../../certificates/pki";
import { type TestServer, startServer, unusedPort } from "../../net/server";
import type { FakeRoot } from "./fakeRoot";
import { describeOn, replaceTool } from "./onNodes";
import { startProxy } from "./proxy";

const pki = new Pki();
const ca = pki.ca("Registry CA");
const leaf = pki.server("registry", "DNS:registry.test,IP:127.0.0.1", ca);

/** What a node's systemd says of the unit containerd, beside what it says anyway. */
function setUnit(root: FakeRoot, ...lines: readonly string[]): void {
  root.write("lab/unit", lines.map((line) => `${line}\n`).join(""));
  root.program("usr/bin/systemctl", '#!/bin/sh\n[ "$1" != show ] || cat /lab/unit\n');
}

const digestsOf = ({ chain }: Sight): string[] =>
  chain.map((der) => createHash("sha256").update(der).digest("hex"));

describeOn(
  "reach",
  [
    ["debian", "dash"],
    ["photon", "bash"],
  ],
  ({ makeRoot }) => {
    let registry: TestServer;
    let port: number;
    before(async () => {
      registry = await startServer(leaf, (_, response) => response.end(), [ca]);
      ({ port } = registry);
    });
    after(() => registry[Symbol.asyncDispose]());

    const node = (): FakeRoot => {
      const root = makeRoot();
      root.write("etc/hosts", "127.0.0.1 localhost registry.test proxy.test\n");
      setUnit(root);
      return root;
    };
    const look = async (root: FakeRoot, ...registries: readonly string[]): Promise<readonly Sight[]> => {
      const { stdout, stderr, code } = await root.run({ op: "reach", registries });
      assert.deepEqual([code, stderr], [0, ""]);
      const report = parseReachOutput(stdout);
      assert.equal(report?.end, "ok", stdout);
      return report.sights;
    };
    const one = async (root: FakeRoot, host: string): Promise<Sight> => {
      const [sight, ...more] = await look(root, host);
      assert.deepEqual(more, []);
      return sight!;
    };
    const without = ({ outcome, status, proxy }: Sight): unknown[] => [outcome, status, proxy];

    it("shows the whole chain, and changes nothing on the node", async () => {
      const root = node();
      const earlier = root.snapshot(true);
      const sight = await one(root, `registry.test:${port}`);
      assert.deepEqual(without(sight), ["chain", undefined, undefined]);
      assert.deepEqual(digestsOf(sight), [leaf.sha256, ca.sha256]);
      assert.equal(sight.known, false);
      assert.deepEqual(root.snapshot(true), earlier);
      assert.deepEqual(registry.received, []);
    });

    it("tells a name that is not resolved from a closed port, from what is not TLS, side by side", async () => {
      const plain: Server = createServer((socket) =>
        socket
          .on("error", () => {})
          .resume()
          .end("220 hello\r\n"),
      );
      await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
      const closed = await unusedPort(leaf);
      const open = (plain.address() as AddressInfo).port;
      const hosts = ["nowhere.invalid", `registry.test:${closed}`, `127.0.0.1:${open}`, `127.0.0.1:${port}`];
      const sights = await look(node(), ...hosts);
      assert.deepEqual(
        Object.fromEntries(sights.map(({ registry: host, outcome }) => [host, outcome])),
        Object.fromEntries(
          ["unresolved", "refused", "no-tls", "chain"].map((outcome, at) => [hosts[at]!, outcome]),
        ),
      );
      await new Promise((resolve) => plain.close(resolve));
    });

    it("knows a chain that the node accepts already", async () => {
      const root = node();
      root.write(`${root.store}/added${root.extension}`, ca.cert);
      root.rebuild();
      // A name of its own store: the tests' node has the machine's library, with its default place.
      const there = `SSL_CERT_FILE=/${root.bundle}`;
      replaceTool(root, "openssl", `#!/bin/sh\n${there} exec /hostbin/openssl "$@"\n`);
      assert.equal((await one(root, `registry.test:${port}`)).known, true);
      assert.equal((await one(root, `localhost:${port}`)).known, false); // the certificate is for another name
    });

    it("asks by containerd's own proxy, with its login, which neither the report nor a process shows", async () => {
      const root = node();
      await using proxy = await startProxy(200, port);
      root.write(
        "lab/proxy.env",
        `# HTTPS_PROXY=http://no:no@127.0.0.1:1\nHTTPS_PROXY="http://me:p%40ss@proxy.test:${proxy.port}"\n`,
      );
      setUnit(
        root,
        "Environment=HTTPS_PROXY=http://127.0.0.1:1 NO_PROXY=.other.test",
        "EnvironmentFiles=/lab/proxy.env (ignore_errors=no)",
      );
      replaceTool(root, "timeout", '#!/bin/sh\necho "$*" >>/lab/words\nexec /hostbin/timeout "$@"\n');
      const { stdout } = await root.run({ op: "reach", registries: [`registry.test:${port}`] });
      const report = parseReachOutput(stdout);
      assert.equal(report?.end, "ok", stdout);
      assert.deepEqual(report.sights.map(without), [["chain", undefined, `proxy.test:${proxy.port}`]]);
      assert.deepEqual(digestsOf(report.sights[0]!), [leaf.sha256, ca.sha256]);
      assert.deepEqual(proxy.asked[0], `CONNECT registry.test:${port} HTTP/1.1 as me:p@ss`);
      assert.match(root.read("lab/words"), /registry\.test/);
      for (const text of [stdout, root.read("lab/words")]) assert.doesNotMatch(text, /p%40ss|p@ss|me:/);
    });

    it("says how a proxy refuses, and whether that one is there at all", async () => {
      const root = node();
      await using proxy = await startProxy(403);
      const host = `registry.test:${port}`;
      const by = async (address: string): Promise<unknown[]> => {
        setUnit(root, `Environment=HTTPS_PROXY=${address}`);
        return without(await one(root, host));
      };
      assert.deepEqual(await by(`http://proxy.test:${proxy.port}/`), [
        "denied",
        403,
        `proxy.test:${proxy.port}`,
      ]);
      assert.deepEqual(await by("nowhere.invalid:3128"), ["unresolved", undefined, "nowhere.invalid:3128"]);
      const closed = await unusedPort(leaf);
      assert.deepEqual(await by(`proxy.test:${closed}`), ["refused", undefined, `proxy.test:${closed}`]);
      // Another server stands there: the registry itself, which speaks TLS.
      assert.deepEqual(await by(`proxy.test:${port}`), ["denied", undefined, `proxy.test:${port}`]);
    });

    it("leaves the proxy out where Go's programs do", async () => {
      const root = node();
      await using proxy = await startProxy(403);
      const outcome = async (host: string, noProxy: string): Promise<string> => {
        setUnit(
          root,
          `Environment="HTTP_PROXY=http://127.0.0.1:1" https_proxy=127.0.0.1:${proxy.port} "NO_PROXY=${noProxy}"`,
        );
        return (await one(root, `${host}:${port}`)).outcome;
      };
      for (const entry of [
        "*",
        "registry.test",
        "test",
        ".test",
        "*.test",
        `registry.test:${port}`,
        "a, Registry.TEST",
      ])
        assert.equal(await outcome("registry.test", entry), "chain", entry);
      for (const entry of [
        "",
        "try.test",
        ".registry.test",
        "registry.test:1",
        "127.0.0.1",
        "127.0.0.0/8",
        "10.08.0.0/16",
      ])
        assert.equal(await outcome("registry.test", entry), "denied", entry);
      assert.equal(await outcome("127.0.0.1", ""), "chain");
      assert.equal(await outcome("localhost", ""), "chain");
      const elsewhere = async (noProxy: string): Promise<string | undefined> => {
        setUnit(root, `Environment=HTTPS_PROXY=127.0.0.1:${proxy.port} NO_PROXY=${noProxy}`);
        return (await one(root, "127.1.2.3.invalid:1")).proxy;
      };
      assert.equal(await elsewhere("127.0.0.0/8"), `127.0.0.1:${proxy.port}`);
      assert.equal(await outcome("192.0.2.1", "198.51.100.0/08"), "denied");
    });

    it("does with curl where there is no OpenSSL, and says what it could not see where there is neither", async () => {
      const root = node();
      root.drop("usr/bin/openssl");
      const sight = await one(root, `registry.test:${port}`);
      assert.deepEqual([sight.outcome, digestsOf(sight)], ["chain", [leaf.sha256, ca.sha256]]);
      root.drop("usr/bin/curl");
      assert.equal((await one(root, `registry.test:${port}`)).outcome, "unseen");
      assert.equal((await one(root, "nowhere.invalid")).outcome, "unresolved");
      root.drop("usr/bin/getent");
      assert.equal((await one(root, "nowhere.invalid")).outcome, "unresolved");
    });

    it("is bounded by what a report may have, whatever the server shows", async () => {
      const extensions = ["basicConstraints=critical,CA:TRUE", `nsComment=${"x".repeat(3000)}`];
      const many = ["1", "2", "3"].map((name) => pki.ca(name, undefined, { extensions }));
      await using long = await startServer(leaf, (_, response) => response.end(), many);
      assert.equal((await one(node(), `127.0.0.1:${long.port}`)).outcome, "unseen");
      await using fits = await startServer(leaf, (_, response) => response.end(), many.slice(0, 2));
      const sight = await one(node(), `127.0.0.1:${fits.port}`);
      assert.deepEqual(
        digestsOf(sight),
        [leaf, ...many.slice(0, 2)].map(({ sha256 }) => sha256),
      );
    });
  },
);
