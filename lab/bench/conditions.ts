/** Under which conditions was measured: the machine, the versions, the settings. */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { exec } from "../exec";
import type { FleetSettings } from "../fleet";
import * as lab from "../lab";
import { pythonPeers } from "./python";

export interface Settings extends Omit<FleetSettings, "controlPlanes"> {
  readonly atOnce: number;
}

export interface Conditions {
  readonly date: string;
  /** How long all of it took, with the lab's start: `22 min`. */
  readonly duration: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Each part of Pulumi, with its version, and whether it is the official one. */
  readonly pulumiParts: readonly string[];
  readonly settings: Settings;
}

/** What a program says of its version, without its name: `Python 3.11.7`, `OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.17`. */
async function version(program: string, flag: string): Promise<string> {
  const { stdout, stderr } = await exec(program, [flag]);
  return (stdout || stderr).replace(/^[A-Za-z]+[ _]/, "").replace(/[\s,][^]*$/, "");
}

/** @param start - When the benchmark began, by `performance.now()`. */
export async function conditions(settings: Settings, start: number): Promise<Conditions> {
  const [first] = cpus();
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  return {
    date: new Date().toISOString().slice(0, 10),
    duration: `${Math.ceil((performance.now() - start) / 60_000)} min`,
    machine: `${cpus().length} × ${first?.model.trim() ?? "CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${system}, Linux ${release()}`,
    versions: {
      "Node.js": process.version,
      ...pythonPeers,
      Python: await version("python3", "--version"),
      OpenSSH: await version("ssh", "-V"),
    },
    pulumiParts: await lab.pulumiParts(),
    settings,
  };
}
