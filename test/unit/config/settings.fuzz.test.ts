import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Settings, parseSettings } from "../../../config/settings";
import { readSettingsText } from "../../../config/settingsFile";
import { hostile, hostileJson, readOrTold, runs, secret } from "../../fuzz";
import { everySetting } from "./everySetting";

const valid = everySetting;
const names = Object.keys(valid);

/** As Pulumi hands it over. */
const raw = (settings: object): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]: [string, unknown]) =>
      value === undefined ? [] : [[name, typeof value === "string" ? value : JSON.stringify(value)]],
    ),
  );

type Path = readonly (string | number)[];

/** Every place in a value, the value itself among them. */
function placesIn(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, item]) => placesIn(item, [...at, key]))];
}
const places = placesIn(valid).filter((path) => path.length > 0);

/** A copy with another value, or a further one, at a place. */
function changed(path: Path, value: unknown, beside: string | undefined): object {
  const copy = structuredClone(valid) as object;
  let at = copy as Record<string, unknown>;
  for (const key of path.slice(0, -1)) at = at[String(key)] as Record<string, unknown>;
  Object.defineProperty(at, beside ?? String(path.at(-1)), {
    ...{ value, enumerable: true, configurable: true, writable: true },
  });
  return copy;
}

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const oneLine = /^[^\p{C}\p{Zl}\p{Zp}]+$/u;

/** That nothing was accepted which the rest of the program could not work with. */
function assertValid({ trust, pullSecrets, deployments }: Settings): void {
  const names = [trust.namespace, trust.cluster, trust.jumpbox.name, ...deployments.map(({ name }) => name)];
  for (const name of [...names, ...pullSecrets.flatMap(({ namespaces }) => namespaces)])
    assert.match(name, label);
  for (const part of pullSecrets.flatMap(({ name }) => name.split(".")))
    assert.match(part, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
  const lines = [trust.supervisorContext, trust.clusterContext, trust.nodes.user];
  const files = [trust.nodes.sshKeyFile ?? "-", trust.bastion?.sshKeyFile ?? "-"];
  for (const text of [...lines, ...files, trust.bastion?.user ?? "-"]) assert.match(text, oneLine);
  for (const image of [trust.jumpbox.image, ...deployments.map(({ image }) => image)])
    assert.match(image, /^[A-Za-z0-9.:/@_[\]-]+$/);
  assert.notEqual(trust.supervisorContext, trust.clusterContext);
  if (trust.bastion) {
    assert.match(trust.bastion.host, /^[0-9A-Za-z][0-9A-Za-z.:-]*$/);
    assert.ok(trust.bastion.port >= 1 && trust.bastion.port <= 65535);
  }
  assert.ok(trust.access !== "bastion" || trust.bastion);
  assert.ok(trust.registries.length > 0);
  for (const { host, ca, credentials } of trust.registries) {
    const { hostname, port } = new URL(`https://${host}`);
    const bare = hostname.replace(/^\[|\]$/g, "");
    assert.ok(isIP(bare) !== 0 || bare.split(".").every((part) => label.test(part)), host);
    assert.ok(host === hostname || host === `${hostname}:${port || "443"}`, host);
    if ("sha256" in ca && ca.sha256 !== undefined) assert.match(ca.sha256, /^[0-9a-f]{64}$/);
    assert.ok(credentials.from !== "password" || Object.hasOwn(trust.passwords, host));
  }
  const hosts = trust.registries.map(({ host }) => host);
  assert.equal(new Set(hosts).size, hosts.length);
  for (const host of Object.keys(trust.passwords)) assert.ok(hosts.includes(host));
  for (const { image, port, replicas, runAsUser } of deployments) {
    assert.ok(hosts.some((host) => image.startsWith(`${host}/`)) || hosts.includes("docker.io"));
    for (const number of [port, replicas, runAsUser, trust.nodes.workersAtOnce])
      assert.ok(Number.isSafeInteger(number) && number >= 0);
    assert.ok(runAsUser > 0);
  }
  const login = trust.registries.some(({ credentials }) => credentials.from !== "none");
  assert.equal(pullSecrets.length, login ? 1 : 0);
  for (const [node, key] of Object.entries(trust.nodes.hostKeys)) {
    assert.equal(typeof node, "string");
    assert.match(key, /^SHA256:[A-Za-z0-9+/]{43}$/);
  }
}

describe("settings", () => {
  it("that are all there are accepted as they are", () => {
    const settings = parseSettings(raw(valid), new Set(["passwords"]));
    assertValid(settings);
    assert.equal(settings.trust.registries.length, 3);
  });

  it("are accepted only where they are valid, whatever they are, and else refused in clear lines", () => {
    const values = fc.oneof(
      hostile,
      hostileJson.map((value) => JSON.stringify(value)),
    );
    const keys = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, hostile);
    const secretNames = fc.array(keys).map((list) => new Set(list));
    fc.assert(
      fc.property(fc.dictionary(keys, values), fc.subarray(names), secretNames, (given, kept, secrets) => {
        const rest = Object.fromEntries(Object.entries(raw(valid)).filter(([name]) => kept.includes(name)));
        const settings = readOrTold(() => parseSettings({ ...rest, ...given }, secrets));
        if (settings) {
          assertValid(settings);
          for (const name of Object.keys(given)) assert.ok(names.includes(name), `${name} was accepted`);
        }
      }),
      runs("settings"),
    );
  });

  it("of which one is wrong, or one too many, are accepted only where they are valid", () => {
    const value = fc.oneof(hostile, hostileJson, fc.constant(undefined));
    fc.assert(
      fc.property(
        fc.constantFrom(...places),
        value,
        fc.option(hostile, { nil: undefined }),
        (path, what, beside) => {
          const settings = readOrTold(
            () => parseSettings(raw(changed(path, what, beside)), new Set(["passwords"])),
            ["hunter2"],
          );
          if (settings) assertValid(settings);
        },
      ),
      runs("settings, one wrong"),
    );
  });

  it("that are kept as secrets, or hold what should be one, are never repeated", () => {
    const bare = (text: string): unknown => `my ${text}`;
    const wrapped: ((text: string) => unknown)[] = [
      (text) => `me:${text}@registry.example.com`,
      (text) => `https://me:${text}@registry.example.com/x`,
      (text) => `-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----\n`,
      (text) => [text],
      (text) => ({ from: text, [`x-${text.length}`]: text }),
      (text) => ({ from: "password", username: "u", password: text }),
    ];
    const anywhere = fc
      .tuple(
        fc.constantFrom(...places),
        fc.constantFrom(bare, ...wrapped),
        fc.option(hostile, { nil: undefined }),
      )
      .map(([path, form, beside]) => ({ path, form, beside }));
    fc.assert(
      fc.property(anywhere, secret, ({ path, form, beside }, text) => {
        const secrets = new Set(["passwords", String(path[0])]);
        readOrTold(() => parseSettings(raw(changed(path, form(text), beside)), secrets), [text]);
      }),
      runs("settings that are secrets"),
    );
    // In clear, where people put them by mistake: what stands bare in the place of a host or image is told as what it is.
    const credentials = places.filter((path) => /credentials|env/.test(String(path)));
    const hosts = places.filter((path) => /host$|image$/.test(String(path)));
    const misplaced = fc.oneof(
      fc.tuple(fc.constantFrom(...credentials), fc.constantFrom(bare, ...wrapped)),
      fc.tuple(fc.constantFrom(...hosts), fc.constantFrom(...wrapped)),
    );
    fc.assert(
      fc.property(misplaced, secret, ([path, form], text) => {
        readOrTold(
          () => parseSettings(raw(changed(path, form(text), undefined)), new Set(["passwords"])),
          [text],
        );
      }),
      runs("settings with misplaced secrets"),
    );
  });

  it("in a file are read or refused in clear lines, whatever the file holds, and what it holds is not repeated", () => {
    const piece = fc.oneof(
      hostile,
      fc.constantFrom(
        "config:",
        "\n  a: ",
        "\n  - ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "secure: v1:x",
        "&a ",
        "*a",
        "<<: ",
      ),
      fc.constantFrom(
        "!!int ",
        "!x ",
        "---\n",
        "...\n",
        "|\n",
        '"',
        "'",
        "\t",
        "%TAG ! x\n",
        "? ",
        "0644",
        ".inf",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece), fc.array(piece), secret, (before, after, text) => {
        const file = `config:\n  a: ${before.join("")}${text}${after.join("")}\n`;
        readOrTold(() => readSettingsText(file, "file", "p"), [text]);
      }),
      runs("settings files"),
    );
  });
});
