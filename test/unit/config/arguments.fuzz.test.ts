import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { deploymentArguments, pullSecretArguments, trustArguments } from "../../../config/arguments";
import { hostile, hostileJson, readOrTold, runs, secret } from "../../fuzz";
import { everySetting } from "./everySetting";

/** Every argument there is, as it may be. */
const [fromFile, withPassword, inline] = everySetting.registries;
const { access, bastion, unreachableNodes, restartOnRemoval, jumpbox, nodes } = everySetting;
const trust = {
  cluster: { namespace: "ns1", name: "tkc-cluster-1", supervisorContext: "s", context: "c" },
  ...{ access, bastion, unreachableNodes, trust: everySetting.trust, restartOnRemoval, adopt: true },
  ...{ jumpbox, nodes },
  registries: [
    fromFile,
    { ...withPassword, credentials: { username: "robot$a+b", password: "hunter2-in-arguments" } },
    inline,
  ],
};
const pullSecret = { pullSecret: everySetting.pullSecret, adopt: true };
const deployment = {
  deployment: { ...everySetting.deployment, env: { A: "hunter2-in-arguments" } },
  adopt: true,
  deleteAdopted: true,
};

type Path = readonly string[];
function placesIn(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, item]) => placesIn(item, [...at, key]))];
}
/** A copy with another value, or a further one, at a place. */
function changed(
  of: object,
  path: Path,
  value: unknown,
  beside: string | undefined,
): Record<string, unknown> {
  const copy = structuredClone(of) as Record<string, unknown>;
  let at = copy;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  const further = Array.isArray(at) ? undefined : beside; // no program gives a list a name, such as `constructor`
  Object.defineProperty(at, further ?? path.at(-1)!, {
    ...{ value, enumerable: true, configurable: true, writable: true },
  });
  return copy;
}

const registriesOf = trustArguments("RegistryTrust prod", trust, "j").registries;
const readers = [
  { valid: trust, read: (raw: Record<string, unknown>) => trustArguments("RegistryTrust prod", raw, "j") },
  { valid: pullSecret, read: (raw: Record<string, unknown>) => pullSecretArguments("PullSecret pull", raw) },
  {
    valid: deployment,
    read: (raw: Record<string, unknown>) =>
      deploymentArguments("RegistryDeployment web", raw, {
        ...{ secret: true, pullSecret: undefined, registries: registriesOf },
      }),
  },
] as const;
/** A component's reader, with a place among its arguments. */
const anywhere = fc.constantFrom(
  ...readers.flatMap(({ valid, read }) =>
    placesIn(valid)
      .filter((path) => path.length > 0)
      .map((path) => ({ valid, read, path })),
  ),
);

describe("arguments", () => {
  it("that are all there are accepted", () => {
    for (const { valid, read } of readers) read(valid);
  });

  it("of which one is wrong, or one too many, are accepted or refused in clear lines without a secret", () => {
    const value = fc.oneof(hostile, hostileJson, fc.constant(undefined));
    fc.assert(
      fc.property(
        anywhere,
        value,
        fc.option(hostile, { nil: undefined }),
        ({ valid, read, path }, what, beside) => {
          const refusedOrRead = readOrTold(() => read(changed(valid, path, what, beside)), ["hunter2"]);
          // Nothing is accepted that there is not: what has free names are the variables, the limits and the host keys; a list has none.
          const free = /env|requests|limits|hostKeys|\d$/.test(path.join("."));
          if (refusedOrRead && beside !== undefined && what !== undefined && !free)
            assert.ok(
              placesIn(valid).some((each) => each.join("\0") === [...path.slice(0, -1), beside].join("\0")) ||
                /^(kind|sha256|trustOnFirstUse|from|\d+|enabled)$/.test(beside),
              `${beside} was accepted beside ${path.join(".")}`,
            );
        },
      ),
      runs("arguments, one wrong"),
    );
  });

  it("are refused in clear lines, whatever they are", () => {
    const given = fc.dictionary(fc.oneof(fc.constantFrom(...Object.keys(trust)), hostile), hostileJson);
    fc.assert(
      fc.property(fc.constantFrom(...readers), given, ({ read }, raw) => void readOrTold(() => read(raw))),
      runs("arguments"),
    );
  });

  it("with a password or a variable of the wrong shape never repeat it", () => {
    const forms: ((text: string) => unknown)[] = [
      (text) => [text],
      (text) => ({ [`x-${text.length}`]: text }),
      (text) => `me:${text}@registry.example.com`,
      (text) => ({ password: text, from: text }),
      (text) => `-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----\n`,
    ];
    const secretPlaces = readers.flatMap(({ valid, read }) =>
      placesIn(valid)
        .filter((path) => /credentials|env/.test(path.join(".")))
        .map((path) => ({ valid, read, path })),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...secretPlaces),
        fc.constantFrom(...forms),
        fc.option(fc.constantFrom("token", "passwd"), { nil: undefined }),
        secret,
        ({ valid, read, path }, form, beside, text) =>
          void readOrTold(() => read(changed(valid, path, form(text), beside)), [text]),
      ),
      runs("arguments with secrets"),
    );
  });
});
