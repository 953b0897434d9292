import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { UserError } from "./errors";

/** The package's own folder, whether this file runs as TypeScript or compiled under `dist/`. */
export const packageRoot = path.basename(__dirname) === "dist" ? path.dirname(__dirname) : __dirname;

const compiledFolders = ["components", "nodes", "registry", "cluster"];
const compiledFiles = [
  "index.ts",
  "config.ts",
  "preflight.ts",
  "verify.ts",
  "run.ts",
  "build.ts",
  "errors.ts",
  "problems.ts",
  "children.ts",
];

function sourcesDigest(): string | undefined {
  if (!existsSync(path.join(packageRoot, "run.ts"))) return undefined; // installed from a package: no sources
  const files = [
    ...compiledFiles,
    ...compiledFolders.flatMap((folder) =>
      readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts"))
        .map((file) => path.posix.join(folder, file.split(path.sep).join("/"))),
    ),
  ].sort();
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(path.join(packageRoot, file)));
  return hash.digest("hex");
}

const stampFile = path.join(packageRoot, "dist", ".sources-sha256");

/** Records which sources `dist/` was built from; the last step of `npm run build`. */
export function stampBuild(): void {
  writeFileSync(stampFile, sourcesDigest() ?? "");
}

/**
 * What runs is the compiled JavaScript: it must be of the sources that are there.
 *
 * @throws UserError when `dist/` is missing or was built from other sources.
 */
export function assertBuildIsFresh(): void {
  const expected = sourcesDigest();
  if (expected === undefined) return;
  const built = existsSync(stampFile) ? readFileSync(stampFile, "utf8") : undefined;
  if (built === expected) return;
  throw new UserError({
    code: "stale-build",
    subject: "dist/",
    seen:
      built === undefined
        ? "the compiled program is missing"
        : "the compiled program is older than its sources",
    remedy: "Run `npm run build`, then try again",
  });
}
