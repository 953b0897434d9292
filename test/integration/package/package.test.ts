import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import ts from "typescript";
import { exec } from "../../../lab/exec";
import { bin, dependencies, exports, peerDependencies } from "../../../package.json";
import { packageRoot } from "../../../support/build";
import { pack, type Packed } from "./project";

const at = (file: string): string => path.join(packageRoot, file);

/** The files that a JavaScript or types file loads, and the packages. */
function importsOf(file: string): { files: string[]; packages: string[] } {
  const names = ts.preProcessFile(readFileSync(at(file), "utf8"), true, true).importedFiles.map(({ fileName }) => fileName); // prettier-ignore
  const packages = names
    .filter((name) => !name.startsWith(".") && !name.startsWith("node:") && !builtinModules.includes(name))
    .map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/"));
  return {
    files: names.filter((name) => name.startsWith(".")).map((name) => path.join(path.dirname(file), name)),
    packages,
  };
}

/** Packages that one in a bundle tries to load, and does without. */
const optional = ["bufferutil", "encoding", "utf-8-validate"];

describe("the package", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-package-"));
  const targets = [...Object.values(exports), ...Object.values(bin)].flatMap((target) =>
    typeof target === "string" ? [target] : Object.values(target),
  );
  const entries = [...new Set(targets.map((target) => path.normalize(target)))];
  const code = entries.filter((file) => /\.(?:js|d\.ts)$/.test(file));
  let packed: Packed;
  before(async () => {
    packed = await pack(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("has what its exports and its command load, the scripts and the pages for people, and nothing else", () => {
    const loaded = code.flatMap((file) => importsOf(file).files);
    const scripts = readdirSync(at("nodes/script"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".sh"))
      .map((name) => path.join("nodes/script", name));
    const pages = ["README.md", "CHANGELOG.md", "LICENSE", "package.json"].filter((name) =>
      existsSync(at(name)),
    );
    assert.deepEqual(packed.files, [...new Set([...entries, ...loaded, ...scripts, ...pages])].sort());
  });

  it("depends on the packages that its files load, and on no other", () => {
    const files = packed.files.filter((file) => /\.(?:js|d\.ts)$/.test(file));
    const loaded = new Set(files.flatMap((file) => importsOf(file).packages));
    for (const name of optional) loaded.delete(name);
    assert.deepEqual(
      [...loaded].sort(),
      [...Object.keys(dependencies), ...Object.keys(peerDependencies)].sort(),
    );
  });

  it("is as publint and arethetypeswrong want it", async () => {
    await exec(at("node_modules/.bin/publint"), ["run", packed.tarball, "--strict"], { cwd: folder });
    // Commands load `./run`, and nobody imports it. `node10` knows no `exports`: it finds only the package itself.
    const options = ["--exclude-entrypoints", "run", "--profile", "node16", "--no-definitely-typed"];
    await exec(at("node_modules/.bin/attw"), [packed.tarball, ...options], { cwd: folder });
  });
});
