/** The package as it is published, and projects of other people that install it. */
import { readFileSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as path from "node:path";
import { exec } from "../../../lab/exec";
import { assertBuildIsFresh, packageRoot } from "../../../support/build";

/** The environment of programs in other projects: without what Node.js and its test runner were told for these tests. */
export const cleanEnvironment = { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined };

export interface Packed {
  readonly tarball: string;
  /** What is in it, by path. */
  readonly files: readonly string[];
}

/** Packs the package into a folder. */
export async function pack(folder: string): Promise<Packed> {
  assertBuildIsFresh();
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const { stdout } = await exec("npm", args, { cwd: packageRoot, env: cleanEnvironment });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  return {
    tarball: path.join(folder, packed!.filename),
    files: packed!.files.map((file) => file.path).sort(),
  };
}

/** The versions of packages that are installed here, by name. */
export const versionsHere = (...names: string[]): Record<string, string> =>
  Object.fromEntries(
    names.map((name) => {
      const file = path.join(packageRoot, "node_modules", name, "package.json");
      return [name, (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version];
    }),
  );

/** `tsconfig.json` as `pulumi new typescript` writes it: strict, and libraries' types are checked too. */
const tsconfig = {
  compilerOptions: {
    ...{ strict: true, target: "es2020", module: "commonjs", moduleResolution: "node" },
    ...{ sourceMap: true, experimentalDecorators: true, pretty: true, noFallthroughCasesInSwitch: true },
    ...{ noImplicitReturns: true, forceConsistentCasingInFileNames: true },
  },
  files: ["index.ts"],
};

/**
 * Makes a project that has nothing but a program that uses the package, and what `pulumi new typescript` gives it. Nothing
 * is installed yet.
 *
 * @param dependencies - What it names itself, by name and version: Pulumi's SDK at least.
 */
export async function makeConsumer(
  folder: string,
  { tarball }: Packed,
  dependencies: Readonly<Record<string, string>>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const packageJson = {
    ...{ name: "consumer", private: true, main: "index.ts" },
    dependencies: { ...dependencies, "tkc-registry": `file:${tarball}` },
    devDependencies: versionsHere("@types/node", "typescript"),
  };
  await writeFile(path.join(folder, "package.json"), JSON.stringify(packageJson));
  await writeFile(path.join(folder, "Pulumi.yaml"), "name: consumer\nruntime: nodejs\n");
  await writeFile(path.join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
  await copyFile(path.join(__dirname, "consumer", "index.ts"), path.join(folder, "index.ts"));
}

/** `npm install` in a project; of what was downloaded before nothing is downloaded again. */
export async function npmInstall(folder: string): Promise<void> {
  const args = ["install", "--prefer-offline", "--no-audit", "--no-fund"];
  await exec("npm", args, { cwd: folder, env: cleanEnvironment });
}

/** Runs Node.js in a project, and gives what it printed. */
export async function node(folder: string, ...args: string[]): Promise<string> {
  return (await exec(process.execPath, args, { cwd: folder, env: cleanEnvironment })).stdout;
}

/** The folders from which a project, the package and Pulumi's own packages load the SDK: one, unless there are copies. */
export function sdkFolders(folder: string): string[] {
  const project = createRequire(path.join(folder, "index.ts"));
  const installed = createRequire(project.resolve("tkc-registry"));
  const others = ["@pulumi/command", "@pulumi/kubernetes"].map((name) =>
    createRequire(installed.resolve(name)),
  );
  const found = [project, installed, ...others].map((from) => from.resolve("@pulumi/pulumi/package.json"));
  return [...new Set(found.map((file) => path.dirname(file)))];
}
