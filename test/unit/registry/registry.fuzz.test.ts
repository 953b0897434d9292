import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { checkCertificates } from "../../../certificates/certificates";
import {
  type HelperResult,
  type RunHelper,
  credentialFor,
  dockerConfigJson,
  mergeDockerConfigJson,
} from "../../../registry/dockerConfig";
import { parseImageReference, parseRegistryHost } from "../../../registry/host";
import { parseChallenges } from "../../../registry/answers";
import { assertTold, hostile, hostileJson, readOrTold, readOrToldLater, runs, secret } from "../../fuzz";
import { type Identity, Pki } from "../../integration/certificates/pki";
import { readCertificates } from "../../../certificates/pem";
import { parseFingerprint } from "../../../certificates/identity";

const subject = "registries[0]";
const host = "harbor.example.com";
const base64 = (text: string): string => Buffer.from(text).toString("base64");

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const properHost = fc.oneof(
  fc.domain({ size: "small" }),
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
);
const port = fc.oneof(
  fc.constant(""),
  fc.integer({ min: 1, max: 65535 }).map((number) => `:${number}`),
  hostile.map((text) => `:${text}`),
);
/** A host's name, or nearly. */
const nearlyHost = fc.oneof(
  fc.tuple(properHost, port).map((parts) => parts.join("")),
  fc.tuple(hostile, properHost, port).map((parts) => parts.join("")),
  fc.tuple(properHost, hostile, port).map((parts) => parts.join("")),
  hostile,
);

function assertHost(text: string): void {
  const { hostname, port: number } = new URL(`https://${text}`);
  const bare = hostname.replace(/^\[|\]$/g, "");
  assert.ok(isIP(bare) !== 0 || bare.split(".").every((part) => label.test(part)), text);
  assert.ok([hostname, `${hostname}:${number || "443"}`].includes(text), text);
}

describe("hostile names of registries and images", () => {
  it("are taken only where they are one, and else refused in one clear line without a password", () => {
    fc.assert(
      fc.property(
        nearlyHost,
        fc.option(secret, { nil: undefined }),
        fc.boolean(),
        (text, password, scheme) => {
          const user = password === undefined ? "" : `${scheme ? "https://" : ""}me:${password}@`;
          const address = readOrTold(
            () => parseRegistryHost(`${user}${text}`, { subject }),
            password === undefined ? [] : [password],
          );
          if (!address) return;
          assert.equal(user, "");
          assertHost(address.host);
          assert.ok(address.port >= 1 && address.port <= 65535);
          assert.deepEqual(parseRegistryHost(address.host, { subject }), address);
        },
      ),
      runs("hosts"),
    );
    const part = fc.oneof(fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,5})?$/), hostile);
    const suffix = fc.oneof(
      fc.constant(""),
      fc.stringMatching(/^:\w[\w.-]{0,20}$/),
      fc.stringMatching(/^@sha256:[0-9a-f]{64}$/),
      hostile,
    );
    const image = fc
      .tuple(nearlyHost, fc.array(part, { maxLength: 3 }), suffix)
      .map(([name, parts, end]) => [name, ...parts].join("/") + end);
    fc.assert(
      fc.property(image, fc.option(secret, { nil: undefined }), (text, password) => {
        const user = password === undefined ? "" : `https://me:${password}@`;
        const reference = readOrTold(
          () => parseImageReference(`${user}${text}`, { subject }),
          password === undefined ? [] : [password],
        );
        if (!reference) return;
        assert.equal(user, "");
        assertHost(reference.host);
        assert.match(reference.repository, /^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/);
        assert.doesNotMatch(reference.repository, /\.\.|\/\/|\/[.-]|[.-]\//);
        if (reference.tag !== undefined) assert.match(reference.tag, /^\w[\w.-]{0,127}$/);
        if (reference.digest !== undefined)
          assert.match(reference.digest, /^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/);
      }),
      runs("images"),
    );
  });
});

describe("a hostile fingerprint", () => {
  const digits = fc.stringMatching(/^[0-9a-f]{64}$/);

  it("is taken in all the forms that people have it in, and no other", () => {
    const form = fc.constantFrom<((hex: string) => string)[]>(
      (hex) => hex.toUpperCase(),
      (hex) => hex.replace(/..(?!$)/g, "$&:"),
      (hex) => `sha256 Fingerprint=${hex.replace(/..(?!$)/g, "$&:")}\n`,
      (hex) => ` SHA-256: ${hex}`,
    );
    fc.assert(
      fc.property(digits, form, (hex, write) => assert.equal(parseFingerprint(write(hex), { subject }), hex)),
      runs("fingerprints that are"),
    );
    const nearly = fc.tuple(digits, fc.nat({ max: 64 }), hostile, fc.nat({ max: 64 }));
    fc.assert(
      fc.property(nearly, ([hex, from, text, to]) => {
        const read = readOrTold(() =>
          parseFingerprint(hex.slice(0, from) + text + hex.slice(to), { subject }),
        );
        if (read !== undefined) assert.match(read, /^[0-9a-f]{64}$/);
      }),
      runs("fingerprints that are not"),
    );
  });
});

describe("hostile certificates", () => {
  let whole: Identity[];
  before(() => {
    const pki = new Pki();
    const root = pki.ca("Root\u202e;touch MARK");
    const intermediate = pki.ca("Intermediate", root);
    const extensions = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature"];
    whole = [
      root,
      intermediate,
      pki.server(host, `DNS:${host}`, root),
      pki.server("self", "DNS:self.example"),
      pki.server("self", "DNS:self.example", undefined, { extensions }),
      pki.ca("Rolled Root", pki.ca("Rolled Root")),
    ];
  });

  const derOf = ({ cert }: Identity): Buffer => new X509Certificate(cert).raw;
  const pemOf = (der: Buffer): string =>
    `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;

  /** That what was taken can be used, by Node's own reading of it. */
  function assertUsable(content: string | Buffer, secrets: readonly string[]): void {
    const parsed = readOrTold(
      () => checkCertificates(readCertificates(content, { subject }), { subject }),
      secrets,
    );
    if (!parsed) return;
    assert.ok(parsed.certificates.length > 0);
    for (const { pem, sha256, subject: name, notAfter } of parsed.certificates) {
      assert.match(
        pem,
        /^-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n$/,
      );
      const certificate = new X509Certificate(pem);
      assert.equal(certificate.fingerprint256.replaceAll(":", "").toLowerCase(), sha256);
      assert.ok(certificate.ca || certificate.verify(certificate.publicKey));
      const now = Date.now();
      assert.ok(new Date(certificate.validFrom).getTime() <= now && now <= new Date(notAfter).getTime());
      assert.doesNotMatch(name, /[\p{C}\p{Zl}\p{Zp}]/u);
    }
    for (const warning of parsed.warnings) {
      assert.doesNotMatch(warning, /[\p{C}\p{Zl}\p{Zp}]/u);
      assert.ok(warning.length < 1000);
    }
  }

  it("are taken only where they are whole, whatever was done to their bytes", () => {
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      bytes: fc.uint8Array({ maxLength: 3 }),
      cut: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.nat({ max: 5 }),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (which, edits, inText) => {
          let bytes = inText ? Buffer.from(whole[which]!.cert) : derOf(whole[which]!);
          for (const { at, bytes: added, cut } of edits) {
            const place = Math.floor(at * bytes.length);
            bytes = Buffer.concat([bytes.subarray(0, place), added, bytes.subarray(place + cut)]);
          }
          assertUsable(inText ? bytes : pemOf(bytes), []);
        },
      ),
      runs("damaged certificates"),
    );
  });

  it("whose dates are none are refused", () => {
    // The two UTCTimes of the validity, with every other text of that length.
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2),
        fc.nat({ max: 1 }),
        fc.stringMatching(/^[0-9:;<=>? -]{12}[Z0]$/),
        (which, end, time) => {
          const der = Buffer.from(derOf(whole[which]!));
          const [from, to] = [...der.toString("latin1").matchAll(/\d{12}Z/g)].map(({ index }) => index);
          der.write(time, [from!, to!][end]!, "latin1");
          assertUsable(pemOf(der), []);
        },
      ),
      runs("certificates without dates"),
    );
  });

  it("are refused with no word of what else is there", () => {
    const around = fc.record({
      before: hostile,
      between: hostile,
      label: fc.constantFrom(
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "CERTIFICATE",
        "PKCS7",
        "X509 CERTIFICATE",
        "$(touch $MARK)",
      ),
      which: fc.nat({ max: 5 }),
    });
    fc.assert(
      fc.property(around, secret, ({ before: first, between, label: name, which }, text) => {
        const block = `-----BEGIN ${name}-----\n${text}\n-----END ${name}-----\n`;
        assertUsable(`${first}\n${whole[which]!.cert}${between}\n${block}`, [text]);
        assertUsable(`${first}\n${block}${between}`, [text]);
      }),
      runs("other certificates"),
    );
  });
});

describe("a hostile docker config", () => {
  const noHelper: RunHelper = () => Promise.reject(new Error("no helper is to be run"));
  const subjectOf = { subject, runHelper: noHelper };

  /** As a helper may be called: nothing of a path, an option or a shell. */
  const helperName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

  it("gives a credential or a clear refusal that repeats none", async () => {
    const json = fc.tuple(hostileJson, hostileJson, secret).map(([one, other, text]) => ({
      text,
      config: [
        JSON.stringify(one),
        JSON.stringify({ auths: one, credHelpers: other }),
        JSON.stringify({ auths: { [host]: one }, password: text, x: other }),
        JSON.stringify({ auths: { [host]: { password: text, auth: one } } }),
        JSON.stringify({ auths: { [`https://me:${text}@other.example.com`]: {} } }),
        JSON.stringify({ auths: { [host]: { auth: text } }, credsStore: other }),
        `{"auths": {"${host}": {"auth": "${text}"`,
        text,
      ],
    }));
    await fc.assert(
      fc.asyncProperty(json, fc.nat({ max: 7 }), async ({ text, config }, which) => {
        const credential = await readOrToldLater(
          () =>
            credentialFor(host, { text: config[which]! }, { ...subjectOf }).catch((error: unknown) => {
              // The one that is asked although none is to be run says so.
              if (error instanceof Error && /no helper is to be run/.test(error.message))
                assertTold(error, [text]);
              throw error;
            }),
          [text],
        );
        if (!credential) return;
        assert.equal(typeof credential.username, "string");
        assert.ok(credential.password);
      }),
      runs("docker config"),
    );
  });

  it("gives back what `docker login` put into it, under each spelling", async () => {
    const user = fc
      .oneof(hostile, fc.string({ unit: "grapheme" }))
      .map((text) => `u${text.replaceAll(":", "").replace(/[\ud800-\udfff\0\ufffd]/g, "")}`);
    const password = fc
      .oneof(hostile, fc.string())
      .map((text) => `${text.replace(/[\ud800-\udfff\0\ufffd]/g, "")}p`);
    const key = fc.constantFrom(
      host,
      `https://${host}`,
      `https://${host}/v2/`,
      `${host}:443`,
      host.toUpperCase(),
    );
    await fc.assert(
      fc.asyncProperty(user, password, key, hostileJson, async (username, word, name, other) => {
        const text = JSON.stringify({
          auths: { "x.example.com": {}, [name]: { auth: base64(`${username}:${word}`) } },
          other,
        });
        assert.deepEqual(await credentialFor(host, { text }, subjectOf), { username, password: word });
      }),
      runs("docker entries"),
    );
  });

  it("has no helper run but by a plain name, and no word of its answer told", async () => {
    const answers = fc
      .tuple(hostile, secret, fc.nat({ max: 3 }), fc.boolean())
      .map(([noise, text, kind, works]) => {
        const answer = JSON.stringify({ Username: "u", Secret: text });
        const result: HelperResult = {
          code: works ? 0 : 1,
          stdout: [answer, noise, `${answer}${noise}`, JSON.stringify({ Secret: text })][kind]!,
          stderr: kind === 0 ? "" : noise,
        };
        return { result, text };
      });
    const name = fc.oneof(hostile, fc.constantFrom("desktop", "../x", "-x", "a b", "osxkeychain"));
    await fc.assert(
      fc.asyncProperty(name, fc.boolean(), answers, async (helper, store, { result, text }) => {
        const config = store ? { credsStore: helper } : { credHelpers: { [host]: helper } };
        const asked: string[] = [];
        const runHelper: RunHelper = (...call) => {
          asked.push(call[0]);
          assert.ok([host, `https://${host}`].includes(call[1]));
          return Promise.resolve(result);
        };
        const credential = await readOrToldLater(
          () => credentialFor(host, { text: JSON.stringify(config) }, { subject, runHelper }),
          [text],
        );
        for (const each of asked) assert.match(each, helperName);
        if (credential) assert.deepEqual(credential, { username: "u", password: text });
      }),
      runs("credential helpers"),
    );
  });

  it("that is a pull secret keeps all that is not ours, whatever it is", () => {
    const ours = dockerConfigJson([{ host, credential: { username: "robot$a", password: "hunter2" } }]);
    const entries = fc.dictionary(
      hostile.filter((key) => key !== "__proto__"),
      fc.record({ auth: hostile, extra: hostileJson }, { requiredKeys: [], noNullPrototype: true }),
      { noNullPrototype: true },
    );
    const theirs = fc.oneof(
      fc
        .record({ auths: entries, HttpHeaders: hostileJson }, { noNullPrototype: true })
        .map((value) => JSON.stringify(value)),
      hostileJson.map((value) => JSON.stringify(value)),
      hostile,
    );
    fc.assert(
      fc.property(theirs, (text) => {
        const merged = readOrTold(() => mergeDockerConfigJson(text, ours), ["hunter2"]);
        if (merged === undefined) return;
        assert.equal(mergeDockerConfigJson(merged, ours), merged);
        type Config = Record<string, unknown> & { auths?: Record<string, unknown> };
        const [before, after] = [text, merged].map(
          (each) => JSON.parse(each.replace(/^\ufeff/, "")) as Config,
        );
        const { [host]: own, ...rest } = after!.auths!;
        assert.deepEqual(own, (JSON.parse(ours) as Config).auths![host]);
        const kept = Object.entries(before!.auths ?? {}).filter(([key]) => !key.toLowerCase().includes(host));
        assert.deepEqual(rest, Object.fromEntries(kept));
        for (const [key, value] of Object.entries(before!))
          if (key !== "auths" && key !== "__proto__") assert.deepEqual(after![key], value);
      }),
      runs("pull secrets merged"),
    );
  });
});

describe("a hostile challenge", () => {
  it("gives challenges of the two kinds with texts for parameters, and nothing else", () => {
    const header = fc.oneof(
      hostile,
      fc
        .array(fc.oneof(hostile, fc.constantFrom("Bearer ", "Basic ", "realm=", ",", '"', "\\", "=")), {
          maxLength: 8,
        })
        .map((parts) => parts.join("")),
      fc.constantFrom("Bearer ", "=", '"\\', "a ", ",", 'a="').map((text) => text.repeat(20_000)),
    );
    fc.assert(
      fc.property(header, (text) => {
        for (const { scheme, parameters } of parseChallenges(text)) {
          assert.match(scheme, /^(basic|bearer)$/);
          assert.equal(Object.getPrototypeOf(parameters), Object.prototype);
          for (const value of Object.values(parameters)) assert.equal(typeof value, "string");
        }
      }),
      runs("challenges"),
    );
  });

  it("is read as it was written, whatever is in its parameters", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,20}$/).filter((text) => text !== "__proto__");
    const value = hostile.map((text) => text.replace(/[\r\n\u2028\u2029]/g, ""));
    const challenge = fc.record(
      {
        scheme: fc.constantFrom("basic", "bearer"),
        parameters: fc.dictionary(name, value, { maxKeys: 4, noNullPrototype: true }),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 3 }), (challenges) => {
        const written = challenges.map(({ scheme, parameters }) => {
          const pairs = Object.entries(parameters).map(
            ([key, text]) => `${key}="${text.replace(/["\\]/g, "\\$&")}"`,
          );
          return `${scheme} ${pairs.join(", ")}`;
        });
        assert.deepEqual(parseChallenges(written.join(", ")), challenges);
      }),
      runs("challenges that are"),
    );
  });
});
