import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import * as path from "node:path";
import { before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { ESLint } from "eslint";
import tseslint from "typescript-eslint";
import { packageRoot } from "../../support/build";

interface House {
  readonly rooms: readonly (readonly string[])[];
  readonly beside: Readonly<Record<string, readonly string[]>>;
  readonly outside: readonly string[];
}

const isFile = (room: string): boolean => room.endsWith(".ts");
const moduleOf = (room: string): string => (isFile(room) ? room.replace(/\.ts$/, "") : `${room}/anything`);

/** Files of a room, one at each depth. */
const filesOf = (room: string): string[] =>
  isFile(room) ? [room] : [`${room}/anything.ts`, `${room}/sub/anything.ts`, `${room}/sub/sub/anything.ts`];

describe("the rooms", () => {
  let house: House;
  let eslint: ESLint;

  before(async () => {
    house = (await import(pathToFileURL(path.join(packageRoot, "eslint.config.mjs")).href)) as House;
    // The files are made up, so that no types are known of them.
    eslint = new ESLint({
      cwd: packageRoot,
      overrideConfig: [
        tseslint.configs.disableTypeChecked,
        {
          files: ["**/*.ts"],
          rules: {
            "@pulumi/no-output-in-template-literal": "off",
            "@pulumi/no-output-instance-in-template-literal": "off",
          },
        },
      ],
    });
  });

  /** The ways to import a module, one a line. */
  const waysTo = (specifier: string): string[] => [
    `import { a } from "${specifier}"; export const b = a;`,
    `import type { C } from "${specifier}"; export type D = C;`,
    `export * from "${specifier}";`,
    `export const e = import("${specifier}");`,
    `export const f = import("${specifier}.js");`,
    `export type G = import("${specifier}").G;`,
  ];

  async function expectEachWay(
    file: string,
    specifier: string,
    outcome: "allowed" | "refused",
  ): Promise<void> {
    const ways = waysTo(specifier);
    const [result] = await eslint.lintText(ways.join("\n"), { filePath: path.join(packageRoot, file) });
    const directions = ["no-restricted-imports", "no-restricted-syntax"];
    const { messages } = result!;
    assert.ok(
      messages.every(({ ruleId }) => directions.includes(ruleId ?? "")),
      `${file}: ${messages.map(({ message }) => message).join("; ")}`,
    );
    assert.deepEqual(
      messages.map(({ line }) => line).sort(),
      outcome === "refused" ? ways.map((_, index) => index + 1) : [],
      `${file} imports ${specifier}`,
    );
  }

  async function expectImport(file: string, target: string, outcome: "allowed" | "refused"): Promise<void> {
    const relative = path.posix.relative(path.posix.dirname(file), target);
    await expectEachWay(file, relative.startsWith(".") ? relative : `./${relative}`, outcome);
  }

  it("are all the folders that are compiled", () => {
    const known = [...house.rooms.flat(), ...house.outside, "dist", "node_modules"];
    const folders = readdirSync(packageRoot, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name);
    assert.deepEqual(
      folders.filter((name) => !known.includes(name)),
      [],
    );
  });

  it("import downwards only", async () => {
    const { rooms, beside, outside } = house;
    for (const [line, names] of rooms.entries()) {
      const below = rooms.slice(line + 1).flat();
      for (const room of names) {
        const allowed = [room, ...(beside[room] ?? []), ...below];
        for (const file of filesOf(room)) {
          for (const target of rooms.flat()) {
            if (target !== room || !isFile(room))
              await expectImport(file, moduleOf(target), allowed.includes(target) ? "allowed" : "refused");
          }
          for (const folder of outside) await expectImport(file, `${folder}/anything`, "refused");
        }
      }
    }
  });

  it("work without Pulumi's SDK, but for those that declare, read the settings or read the running stack", async () => {
    const withPulumi = ["index.ts", "components/anything.ts", "config/anything.ts", "state/previousState.ts"];
    const files = [...house.rooms.flat().flatMap(filesOf), "state/previousState.ts"];
    for (const file of files) {
      const allowed = withPulumi.includes(file) || /^(components|config)\//.test(file);
      await expectEachWay(file, "@pulumi/pulumi", allowed ? "allowed" : "refused");
    }
  });
});
