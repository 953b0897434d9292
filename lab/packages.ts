import { rmSync } from "node:fs";
import { CommandError, exec } from "./exec";
import { inTurn } from "./lock";
import { readIfThere, replaceFile } from "./wholeFiles";
import { step } from "./progress";
import { labProblem } from "./problems";

/** By which program a Debian package is known on other distributions; by one of its own name where it isn't here. */
const programs: Readonly<Record<string, string>> = {
  iproute2: "ip",
  netavark: "podman",
  procps: "sysctl",
  "ca-certificates": "update-ca-certificates",
  "openssh-client": "ssh-keygen",
  "openssh-server": "/usr/sbin/sshd",
  "python3-venv": "python3",
};

/** The Debian packages that the lab needs on this machine. */
export const labPackages: readonly string[] = [
  ...["podman", "runc", "mmdebstrap", "iproute2", "procps", "openssl"],
  "ca-certificates", // apt, pip and Go download over HTTPS
  "netavark", // podman 5 runs no command without it, though the lab's containers are on no network of podman's
];

/** The Debian packages that only the tests need, of real SSH servers and trust stores on this machine, and to watch processes. */
export const testPackages: readonly string[] = [
  ...["openssh-server", "openssh-client", "openssl", "ca-certificates", "strace"],
];

async function isInstalled(name: string): Promise<boolean> {
  const query = await exec("dpkg-query", ["--show", "--showformat=${db:Status-Status}", name], {
    allowFailure: true,
  });
  return query.stdout === "installed";
}

/** Absolute paths too: `command -v` takes both. */
async function isRunnable(program: string): Promise<boolean> {
  return (await exec("sh", ["-c", 'command -v "$1"', "sh", program], { allowFailure: true })).code === 0;
}

/** One clone installs at a time: another's end would take {@link policyFile} away. */
const installing = "tkc-lab-packages";
/** Seconds that it may take; apt waits as long for others that install. */
const patience = 1800;

const policyFile = "/usr/sbin/policy-rc.d";
const policyMark = "# tkc-registry's lab installs packages";

/**
 * Debian starts the services of what it installs, unless this script says no; the lab wants programs only. It says
 * no just while our process lives, so that one left behind by a kill changes nothing.
 */
async function withoutStartingServices(install: () => Promise<void>): Promise<void> {
  // Unless it was left behind by a kill, the machine has a policy of its own.
  if (readIfThere(policyFile)?.includes(policyMark) === false) return install();
  const script = `#!/bin/sh\n${policyMark}; until that ends, no service is started.\nkill -0 ${process.pid} 2>/dev/null && exit 101\nexit 0\n`;
  const restore = (): void => {
    if (readIfThere(policyFile) === script) rmSync(policyFile, { force: true });
  };
  process.once("exit", restore);
  try {
    replaceFile(policyFile, script, 0o755);
    await install();
  } finally {
    restore();
    process.off("exit", restore);
  }
}

async function aptGet(report: (detail: string) => void, ...args: string[]): Promise<void> {
  await exec("apt-get", ["--yes", "--quiet", `--option=DPkg::Lock::Timeout=${patience}`, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
    onLine: report,
  });
}

/** Has the services of packages that were just installed stay off when this machine boots: only programs are wanted. */
async function disableServices(packages: readonly string[]): Promise<void> {
  const { stdout } = await exec("dpkg-query", ["--listfiles", ...packages]);
  const names = (pattern: RegExp): string[] => [...stdout.matchAll(pattern)].map(([, name]) => name!);
  const units = names(/^(?:\/usr)?\/lib\/systemd\/system\/([^/@\n]+\.(?:service|socket|timer))$/gm);
  if (units.length > 0 && (await isRunnable("systemctl"))) {
    await exec("systemctl", ["disable", "--quiet", ...units]);
  }
  for (const script of names(/^\/etc\/init\.d\/([^/\n]+)$/gm)) {
    if (await isRunnable("update-rc.d")) await exec("update-rc.d", [script, "disable"]);
  }
}

async function missingOf(packages: readonly string[], debian: boolean): Promise<readonly string[]> {
  const present = await Promise.all(
    packages.map((name) => (debian ? isInstalled(name) : isRunnable(programs[name] ?? name))),
  );
  return packages.filter((_, index) => !present[index]);
}

/**
 * Installs those of the Debian packages that are missing; their services are neither started nor enabled.
 *
 * @param packages - Their names, such as {@link labPackages}, the default, or {@link testPackages}.
 *
 * @throws UserError where packages are missing and can't be installed with apt-get.
 */
export async function ensurePackages(packages: readonly string[] = labPackages): Promise<void> {
  const debian = (await isRunnable("dpkg-query")) && (await isRunnable("apt-get"));
  const missing = await missingOf(packages, debian);
  if (missing.length === 0) return;
  if (!debian) {
    throw labProblem.error("lab-packages-missing", {
      subject: "this machine",
      seen: `these Debian packages, or what your distribution calls them, are missing: ${missing.join(", ")}`,
    });
  }
  // Asked again: another clone may have installed them meanwhile.
  await inTurn(installing, async () => install(await missingOf(packages, debian)), patience);
}

async function install(missing: readonly string[]): Promise<void> {
  if (missing.length === 0) return;
  await step(`installing Debian packages: ${missing.join(" ")}`, (report) =>
    withoutStartingServices(async () => {
      const attempt = (): Promise<void> => aptGet(report, "install", "--no-install-recommends", ...missing);
      try {
        await attempt();
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        await aptGet(report, "update"); // the package lists are missing, or older than what the mirror has
        await attempt();
      }
      await disableServices(missing);
    }),
  ).catch((error: unknown) => {
    if (!(error instanceof CommandError)) throw error;
    throw labProblem.error("lab-packages-not-installed", {
      subject: `Debian packages ${missing.join(", ")}`,
      seen: error.message,
    });
  });
}
