import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate, createPrivateKey, generateKeyPairSync } from "node:crypto";
import { json } from "node:stream/consumers";
import type { SecureContextOptions } from "node:tls";
import { after, before, describe, it } from "node:test";
import type { GoRefusalKind } from "../../../../certificates/go/goCertificate";
import { goRefusal } from "../../../../certificates/go/goVerify";
import { tlsDialer, toolsAreBuilt } from "../../../../lab/tools";
import { ConnectionFailure, inspectTls } from "../../../../net/https";
import { startServer, type TestServer } from "../../net/server";
import { Pki, curve, rsa, type Identity } from "../pki";

interface Case {
  readonly server: Identity;
  /** Served after the server's own. */
  readonly chain?: readonly Identity[];
  readonly trusted: readonly Identity[];
  readonly host?: string;
  /** When, in days from now. */
  readonly at?: number;
  readonly tls?: SecureContextOptions;
  /** What Go refuses it for; nothing where it takes it. */
  readonly refused?: GoRefusalKind;
  /** The same of Go itself, where the server does not even get to show its certificate to it. */
  readonly refusedByGo?: GoRefusalKind;
}

const host = "registry.example.com";
const san = `DNS:${host}`;
const isCa = "basicConstraints=critical,CA:TRUE";
const isNoCa = "basicConstraints=critical,CA:FALSE";
const signs = "keyUsage=critical,keyCertSign";
const pss = (salt: number): string[] => [
  ...["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", `rsa_pss_saltlen:${salt}`],
];

function makeCases(): Record<string, Case> {
  const pki = new Pki();
  const root = pki.ca("Root");
  const other = pki.ca("Other Root");
  const impostor = pki.ca("Root");
  const intermediate = pki.ca("Intermediate", root);
  const below = pki.server("below", san, intermediate);
  const leaf = (names: string | undefined, ...extensions: string[]): Identity =>
    pki.server(host, names, root, extensions.length > 0 ? { extensions } : {});
  const good = leaf(san);
  const alone = pki.server(host, san);

  /** A leaf under an authority that is trusted or served, and has something about it. */
  const under = (extensions: readonly string[], names = san, trusted = true): Omit<Case, "refused"> => {
    const authority = pki.ca("Authority", trusted ? undefined : root, { extensions });
    const server = pki.server(host, names, authority);
    return trusted ? { server, trusted: [authority] } : { server, chain: [authority], trusted: [root] };
  };
  const constrained = (constraints: string, names = san): Omit<Case, "refused"> =>
    under([isCa, signs, `nameConstraints=critical,${constraints}`], names);
  /** A leaf whose signature, or whose authority's, is made in an unusual way. */
  const signed = (...signing: string[]): Identity => pki.server(host, san, root, { signing });

  const rsaRoot = pki.ca("RSA Root", undefined, { key: rsa(2048) });
  const weakRoot = pki.ca("Weak Root", undefined, { key: rsa(768) });
  const sha1Root = pki.ca("Old Root", undefined, { signing: ["-sha1"] });
  const sha1Intermediate = pki.ca("Old Intermediate", root, { signing: ["-sha1"] });
  const negativeRoot = pki.ca("Negative Root", undefined, { serial: "-5" });
  const curveRoot = pki.ca("Koblitz Root", undefined, { key: curve("secp256k1") });
  const edRoot = pki.ca("Ed25519 Root", undefined, { key: generateKeyPairSync("ed25519").privateKey });
  const printableRoot = pki.ca("Printable Root", undefined, { stringMask: "nombstr" });
  const utf8Root = pki.ca("Printable Root", undefined, {
    stringMask: "utf8only",
    key: createPrivateKey(printableRoot.key),
  });
  const briefRoot = pki.ca("Brief Root", undefined, { days: 1 });
  const briefIntermediate = pki.ca("Brief Intermediate", root, { days: 1 });
  const bounded = pki.ca("Bounded", undefined, { extensions: [`${isCa},pathlen:0`, signs] });
  const underBounded = pki.ca("Under Bounded", bounded);
  const bounded1 = pki.ca("Bounded 1", undefined, { extensions: [`${isCa},pathlen:1`, signs] });
  const underBounded1 = pki.ca("Under Bounded 1", bounded1);
  const crossRoot = pki.ca("Cross Root");
  const crossed = pki.ca("Root", crossRoot, { key: createPrivateKey(root.key) });

  const usage = [isNoCa, "keyUsage=critical,digitalSignature,keyEncipherment", "extendedKeyUsage=serverAuth"];
  const bare = pki.server(host, san, undefined, { extensions: usage });
  const oldRoot = pki.ca("Rolled Root");
  const newKey = curve("prime256v1");
  const newRoot = pki.ca("Rolled Root", undefined, { key: newKey });
  const rollover = pki.ca("Rolled Root", oldRoot, { key: newKey });
  const rolled = pki.server(host, san, newRoot);
  const renewed = pki.ca("Rolled Root", undefined, { key: createPrivateKey(oldRoot.key), serial: "77" });

  return {
    "a good chain": { server: good, trusted: [root] },
    "a good chain that is served with its root": { server: good, chain: [root], trusted: [root] },
    "a good chain with an intermediate": { server: below, chain: [intermediate], trusted: [root] },
    "a good chain, and another root trusted too": { server: good, trusted: [other, impostor, root] },
    "a chain over an authority that another one certified": {
      server: good,
      chain: [crossed],
      trusted: [crossRoot],
    },
    "a root that is not trusted": { server: good, chain: [root], trusted: [other], refused: "authority" },
    "a root of the same name and another key": { server: good, trusted: [impostor], refused: "authority" },
    "a root of the same name, encoded otherwise": {
      server: pki.server(host, san, printableRoot),
      trusted: [utf8Root],
      refused: "authority",
    },
    "nothing trusted": { server: good, trusted: [], refused: "authority" },
    "an intermediate that is not served": { server: below, trusted: [root], refused: "authority" },
    "a trusted intermediate": { server: below, trusted: [intermediate] },
    "a trusted intermediate, served too": { server: below, chain: [intermediate], trusted: [intermediate] },
    "a self-signed server that is trusted": { server: alone, trusted: [alone] },
    "a self-signed server that is not trusted": { server: alone, trusted: [root], refused: "authority" },
    "a self-signed server that may not sign": { server: bare, trusted: [bare] },
    "a self-signed server that may not sign, and is not trusted": {
      server: bare,
      trusted: [root],
      refused: "authority",
    },
    "a CA's new key, signed by the old one": { server: rolled, trusted: [rollover] },
    "a CA's new key, signed by the old one, beside its own new root": {
      server: rolled,
      trusted: [rollover, newRoot],
    },
    "a CA's new key, signed by the old one, and served": {
      server: rolled,
      chain: [rollover],
      trusted: [oldRoot],
    },
    "a CA's new key, signed by the old one, that is served, and only the new root is trusted": {
      server: rolled,
      chain: [rollover],
      trusted: [newRoot],
    },
    "a CA's new key without the link from the old one": {
      server: rolled,
      trusted: [oldRoot],
      refused: "authority",
    },
    "a root that was renewed with the same key": {
      server: pki.server(host, san, oldRoot),
      trusted: [renewed],
    },
    "a server certificate that is itself trusted": { server: good, trusted: [good] },

    "no subject alternative name": { server: leaf(undefined), trusted: [root], refused: "host" },
    "another host": { server: leaf("DNS:other.example.com"), trusted: [root], refused: "host" },
    "a host in other letters": { server: leaf("DNS:Registry.EXAMPLE.com"), trusted: [root] },
    "an address": { server: leaf("IP:10.0.0.5"), host: "10.0.0.5", trusted: [root] },
    "another address": {
      server: leaf("IP:10.0.0.6"),
      host: "10.0.0.5",
      trusted: [root],
      refused: "host",
    },
    "an address that is listed as a name": {
      server: leaf("DNS:10.0.0.5"),
      host: "10.0.0.5",
      trusted: [root],
      refused: "host",
    },
    "an IPv6 address": { server: leaf("IP:fd00::5"), host: "fd00::5", trusted: [root] },
    "another IPv6 address": {
      server: leaf("IP:fd00::6"),
      host: "fd00::5",
      trusted: [root],
      refused: "host",
    },
    "a wildcard": { server: leaf("DNS:*.example.com"), trusted: [root] },
    "a wildcard under a top-level domain": {
      server: leaf("DNS:*.internal"),
      host: "registry.internal",
      trusted: [root],
    },
    "a wildcard two labels up": { server: leaf("DNS:*.com"), trusted: [root], refused: "host" },
    "a wildcard for the domain itself": {
      server: leaf("DNS:*.registry.example.com"),
      trusted: [root],
      refused: "host",
    },
    "a partial wildcard": { server: leaf("DNS:reg*.example.com"), trusted: [root], refused: "host" },
    "a wildcard in the middle": { server: leaf("DNS:registry.*.com"), trusted: [root], refused: "host" },
    "a wildcard that is all": {
      server: leaf("DNS:*"),
      host: "registry",
      trusted: [root],
      refused: "host",
    },
    "an underscore": {
      server: leaf("DNS:my_registry.internal"),
      host: "my_registry.internal",
      trusted: [root],
    },

    "a server that has expired": {
      server: pki.server(host, san, root, { days: 1 }),
      trusted: [root],
      at: 2,
      refused: "expired",
    },
    "a server that is not valid yet": { server: good, trusted: [root], at: -1, refused: "expired" },
    "a root that has expired": {
      server: pki.server(host, san, briefRoot),
      trusted: [briefRoot],
      at: 2,
      refused: "expired",
    },
    "an intermediate that has expired": {
      server: pki.server(host, san, briefIntermediate),
      chain: [briefIntermediate],
      trusted: [root],
      at: 2,
      refused: "expired",
    },

    "an issuer that is no CA": { ...under([isNoCa], san, false), refused: "authority" },
    "a root that is no CA": { ...under([isNoCa]), refused: "authority" },
    "a CA without basic constraints": { ...under([signs]), refused: "authority" },
    "a CA without a key usage": under([isCa]),
    "a CA that may not sign": { ...under([isCa, "keyUsage=critical,cRLSign"]), refused: "authority" },
    "a CA whose path ends": {
      server: pki.server(host, san, underBounded),
      chain: [underBounded],
      trusted: [bounded],
      refused: "path-length",
    },
    "a CA whose path is just long enough": {
      server: pki.server(host, san, underBounded1),
      chain: [underBounded1],
      trusted: [bounded1],
    },

    "a certificate for servers": {
      server: leaf(san, isNoCa, "extendedKeyUsage=serverAuth"),
      trusted: [root],
    },
    "a certificate for any use": {
      server: leaf(san, isNoCa, "extendedKeyUsage=anyExtendedKeyUsage"),
      trusted: [root],
    },
    "a certificate for clients": {
      server: leaf(san, isNoCa, "extendedKeyUsage=clientAuth"),
      trusted: [root],
      refused: "usage",
    },
    "an authority for clients": {
      ...under([isCa, signs, "extendedKeyUsage=clientAuth"], san, false),
      refused: "usage",
    },
    "a root for clients": { ...under([isCa, signs, "extendedKeyUsage=clientAuth"]), refused: "usage" },
    "an authority for servers and clients": under([isCa, signs, "extendedKeyUsage=serverAuth,clientAuth"]),
    "a critical extension that is unknown": {
      server: leaf(san, isNoCa, "1.2.3.4=critical,ASN1:UTF8String:x"),
      trusted: [root],
      refused: "critical",
    },
    "an extension that is unknown": {
      server: leaf(san, isNoCa, "1.2.3.4=ASN1:UTF8String:x"),
      trusted: [root],
    },

    "name constraints that permit": constrained("permitted;DNS:example.com"),
    "name constraints that permit subdomains": constrained("permitted;DNS:.example.com"),
    "name constraints that permit another domain": {
      ...constrained("permitted;DNS:example.org"),
      refused: "constraints",
    },
    "name constraints that permit a domain of the same ending": {
      ...constrained("permitted;DNS:ample.com"),
      refused: "constraints",
    },
    "name constraints that exclude": { ...constrained("excluded;DNS:example.com"), refused: "constraints" },
    "name constraints that a wildcard would get around": {
      ...constrained("excluded;DNS:secret.example.com", "DNS:*.example.com"),
      refused: "constraints",
    },
    "name constraints that another of its names breaks": {
      ...constrained("permitted;DNS:example.com", `${san},DNS:example.org`),
      refused: "constraints",
    },
    "name constraints for addresses": {
      ...constrained("permitted;IP:10.0.0.0/255.0.0.0", "IP:10.0.0.5"),
      host: "10.0.0.5",
    },
    "name constraints for other addresses": {
      ...constrained("permitted;IP:192.168.0.0/255.255.0.0", "IP:10.0.0.5"),
      host: "10.0.0.5",
      refused: "constraints",
    },
    "name constraints for IPv6 addresses": {
      ...constrained("excluded;IP:fd00::/ff00::", "IP:fd00::5"),
      host: "fd00::5",
      refused: "constraints",
    },
    "name constraints for another kind of name": constrained("permitted;IP:192.168.0.0/255.255.0.0"),
    "name constraints for mail": {
      ...constrained("permitted;email:example.org", `${san},email:a@example.com`),
      refused: "constraints",
    },
    "name constraints for one mailbox": constrained(
      "permitted;email:a@example.com",
      `${san},email:a@EXAMPLE.com`,
    ),
    "name constraints for URIs": {
      ...constrained("permitted;URI:example.org", `${san},URI:spiffe://example.com/registry`),
      refused: "constraints",
    },
    "name constraints for directory names": {
      ...under([isCa, signs, "nameConstraints=critical,permitted;dirName:dn"]),
      refused: "critical",
    },

    "a signature with SHA-1": { server: signed("-sha1"), trusted: [root], refused: "authority" },
    "a signature with MD5": {
      server: pki.server(host, san, rsaRoot, { signing: ["-md5"] }),
      trusted: [rsaRoot],
      refused: "authority",
      refusedByGo: "tls",
    },
    "a trusted root that is signed with SHA-1": {
      server: pki.server(host, san, sha1Root),
      trusted: [sha1Root],
    },
    "an intermediate that is signed with SHA-1": {
      server: pki.server(host, san, sha1Intermediate),
      chain: [sha1Intermediate],
      trusted: [root],
      refused: "authority",
    },
    "a signature with SHA-512": { server: signed("-sha512"), trusted: [root] },
    "a signature by RSA": { server: pki.server(host, san, rsaRoot), trusted: [rsaRoot] },
    "a signature by RSA-PSS": {
      server: pki.server(host, san, rsaRoot, { signing: pss(32) }),
      trusted: [rsaRoot],
    },
    "a signature by RSA-PSS with another salt": {
      server: pki.server(host, san, rsaRoot, { signing: pss(20) }),
      trusted: [rsaRoot],
      refused: "authority",
    },
    "a signature by Ed25519": { server: pki.server(host, san, edRoot), trusted: [edRoot] },
    "a root with a small RSA key": {
      server: pki.server(host, san, weakRoot),
      trusted: [weakRoot],
      refused: "authority",
    },
    "a server with a small RSA key": {
      server: pki.server(host, san, root, { key: rsa(768) }),
      trusted: [root],
      refused: "key",
    },
    "a root on a curve that Go has not": {
      server: pki.server(host, san, curveRoot),
      trusted: [curveRoot],
      refused: "authority",
    },
    "a server on P-384": {
      server: pki.server(host, san, root, { key: curve("secp384r1") }),
      trusted: [root],
    },
    "a server with a negative serial number": {
      server: pki.server(host, san, root, { serial: "-5" }),
      trusted: [root],
      refused: "malformed",
    },
    "a root with a negative serial number": {
      server: pki.server(host, san, negativeRoot),
      trusted: [negativeRoot],
      refused: "authority",
    },

    "TLS 1.2": { server: good, trusted: [root], tls: { maxVersion: "TLSv1.2" } },
    "TLS 1.1": {
      server: good,
      trusted: [root],
      tls: { minVersion: "TLSv1", maxVersion: "TLSv1.1" },
      refused: "tls",
    },
    "cipher suites without ECDHE": {
      server: pki.server(host, san, root, { key: rsa(2048) }),
      trusted: [root],
      tls: { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256:@SECLEVEL=0" },
      refused: "tls",
    },
  };
}

const timeOf = ({ at = 0 }: Case): Date => new Date(Date.now() + at * 24 * 60 * 60 * 1000);

/** What ours says of a server. */
async function ourVerdict(each: Case, port: number): Promise<{ kind?: string; error?: string }> {
  const now = timeOf(each);
  const ca = each.trusted.map(({ cert }) => cert);
  try {
    const served = await inspectTls({ hostname: "127.0.0.1", port }, { ca }, 30, now);
    if (served.rejection?.includes("cipher suites")) return { kind: "tls", error: served.rejection };
    const trusted = ca.map((pem) => new X509Certificate(pem));
    const refusal = goRefusal(served.chain, { trusted, hostname: each.host ?? host, now });
    return refusal ? { kind: refusal.kind, error: refusal.message } : {};
  } catch (error) {
    if (error instanceof ConnectionFailure && error.kind === "not-tls") return { kind: "tls" };
    throw error;
  }
}

describe("what is held against a served chain", () => {
  const built = toolsAreBuilt(["tlsdial"]);
  let cases: [string, Case, TestServer][];

  before(async () => {
    cases = await Promise.all(
      Object.entries(makeCases()).map(async ([name, each]): Promise<[string, Case, TestServer]> => {
        // At the usual security level, OpenSSL would not even serve some of these.
        const options = { ciphers: "DEFAULT:@SECLEVEL=0", ...each.tls };
        return [
          name,
          each,
          await startServer(each.server, (_, response) => response.end(), each.chain, options),
        ];
      }),
    );
  });
  after(() => Promise.all(cases.map(([, , server]) => server[Symbol.asyncDispose]())));

  it("is what Go's rules say", async () => {
    for (const [name, each, server] of cases) {
      const verdict = await ourVerdict(each, server.port);
      assert.equal(verdict.kind, each.refused, `${name}: ${verdict.error ?? "taken"}`);
    }
  });

  it(
    "is what Go itself says",
    {
      skip: built
        ? false
        : "the lab's tlsdial is not built: run the tests without --fast, or `npm run lab` once",
    },
    async () => {
      const input = cases.map(([, each, server]) => ({
        address: server.host,
        serverName: each.host ?? host,
        roots: each.trusted.map(({ cert }) => cert).join(""),
        now: timeOf(each),
      }));
      const dialer = spawn(tlsDialer(), { stdio: ["pipe", "pipe", "inherit"] });
      dialer.stdin.end(JSON.stringify(input));
      const verdicts = (await json(dialer.stdout)) as { kind?: string; error?: string }[];
      cases.forEach(([name, { refused, refusedByGo = refused }], index) => {
        assert.equal(verdicts[index]!.kind, refusedByGo, `${name}: ${verdicts[index]!.error ?? "taken"}`);
      });
    },
  );
});
