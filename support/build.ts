import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { UserError } from "./errors";

const parent = path.dirname(__dirname);

/** The package's own folder, whether this file runs as TypeScript or compiled under `dist/`. */
export const packageRoot = path.basename(parent) === "dist" ? path.dirname(parent) : parent;

/** The sources that are compiled: all but what tsconfig.build.json excludes. Undefined in an installed package. */
function sourceFiles(): string[] | undefined {
  const settings = path.join(packageRoot, "tsconfig.build.json");
  if (!existsSync(settings)) return undefined;
  const { exclude } = JSON.parse(readFileSync(settings, "utf8")) as { exclude: readonly string[] };
  return readdirSync(packageRoot, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith(".") && !exclude.includes(name))
    .flatMap((entry) => {
      if (!entry.isDirectory()) return [entry.name];
      return readdirSync(path.join(packageRoot, entry.name), { recursive: true, encoding: "utf8" }).map(
        (file) => path.posix.join(entry.name, file.split(path.sep).join("/")),
      );
    })
    .filter((file) => file.endsWith(".ts"))
    .sort();
}

function sourcesDigest(): string | undefined {
  const files = sourceFiles();
  if (!files) return undefined;
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
