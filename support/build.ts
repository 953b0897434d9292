/**
 * The folder of the package, how its commands are run, and the check that `dist/` is compiled from the present sources.
 * It never compiles anything.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { supportProblem } from "./problems";

/** The package's folder. As TypeScript this file is in `support/`, and in a bundle in `dist/`. */
export const packageRoot = path.dirname(__dirname);

/** An installed package has no sources. */
const isInstalled = !existsSync(path.join(packageRoot, "tsconfig.json"));

/** How people run one of the package's commands, with its words. */
export function commandLine(name: string, words = ""): string {
  const [run, separator] = isInstalled ? ["npx tkc-registry", " "] : ["npm run", " -- "];
  return `${run} ${name}${words === "" ? "" : `${separator}${words}`}`;
}

const dist = path.join(packageRoot, "dist");
/** A bundle contains packages too, so their versions are part of its sources. */
const lockFile = "package-lock.json";
/** Records the sources that `dist/` was compiled from. */
const stampFile = path.join(dist, "sources.json");

interface Stamp {
  readonly files: readonly string[];
  readonly sha256: string;
}

function digest(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) {
    const source = path.join(packageRoot, file);
    hash
      .update(file)
      .update("\0")
      .update(existsSync(source) ? readFileSync(source) : "");
  }
  return hash.digest("hex");
}

/** Records the sources that esbuild's metafile lists. `npm run build` calls it last. */
export function stampBuild(): void {
  const metafile = path.join(dist, "metafile.json");
  const { inputs } = JSON.parse(readFileSync(metafile, "utf8")) as { inputs: Record<string, unknown> };
  const sources = Object.keys(inputs).filter((file) => !file.startsWith("node_modules/"));
  const files = [...sources, lockFile].sort();
  const stamp: Stamp = { files, sha256: digest(files) };
  writeFileSync(`${stampFile}.new`, JSON.stringify(stamp));
  renameSync(`${stampFile}.new`, stampFile);
  rmSync(metafile);
}

function readStamp(): Stamp | undefined {
  if (!existsSync(stampFile)) return undefined;
  return JSON.parse(readFileSync(stampFile, "utf8")) as Stamp;
}

/**
 * Checks that `dist/` was compiled from the present sources.
 *
 * @throws UserError (`stale-build`).
 */
export function assertBuildIsFresh(): void {
  if (isInstalled) return;
  const stamp = readStamp();
  if (stamp && digest(stamp.files) === stamp.sha256) return;
  throw supportProblem.error("stale-build", {
    subject: "dist/",
    seen: stamp ? "the compiled program is older than its sources" : "the compiled program is missing",
  });
}
