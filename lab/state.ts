import { randomBytes } from "node:crypto";
import * as path from "node:path";
import { readIfThere, replaceFile } from "./wholeFiles";
import { runFolder } from "./paths";
import {
  controlPlaneAddress,
  controlPlaneName,
  freeNodeAddress,
  poolName,
  workerName,
  type RegistryName,
} from "./topology";

/** How a node's trust store is laid out. */
export type NodeOs = "photon" | "debian";
export const nodeOses: readonly NodeOs[] = ["photon", "debian"];

export interface LabNode {
  readonly name: string;
  readonly role: "control-plane" | "worker";
  readonly os: NodeOs;
  /** InternalIP. */
  readonly address: string;
}

/** What a lab is, decided when it is first brought up; everything else follows from it or is on the machines. */
export interface LabState {
  readonly nodes: readonly LabNode[];
  /** The middle part of the workers' names. */
  readonly pool: string;
  readonly passwords: {
    /** The vCenter user's. */
    readonly vcenter: string;
    /** `vmware-system-user`'s, on the nodes. */
    readonly node: string;
    readonly registries: Readonly<Record<RegistryName, string>>;
  };
}

/** Holds the {@link LabState}, passwords in clear. */
export const stateFile = path.join(runFolder, "lab.json");

/** A new password. */
export const password = (): string => randomBytes(12).toString("base64url");

function newState(): LabState {
  const pool = poolName();
  const nodes: LabNode[] = [
    { name: controlPlaneName(), role: "control-plane", os: "photon", address: controlPlaneAddress },
  ];
  for (const os of nodeOses) {
    nodes.push({
      name: workerName(pool),
      role: "worker",
      os,
      address: freeNodeAddress(nodes.map((n) => n.address)),
    });
  }
  return {
    nodes,
    pool,
    passwords: {
      vcenter: password(),
      node: password(),
      registries: { harbor: password(), custom: password() },
    },
  };
}

/** The lab that was begun in this folder, if one was. */
export function readState(): LabState | undefined {
  const text = readIfThere(stateFile);
  return text === undefined ? undefined : (JSON.parse(text) as LabState);
}

/** The lab that was begun in this folder; begins one if there is none. */
export function readOrBeginState(): LabState {
  const existing = readState();
  if (existing) return existing;
  const state = newState();
  writeState(state);
  return state;
}

export function writeState(state: LabState): void {
  replaceFile(stateFile, `${JSON.stringify(state, undefined, 2)}\n`);
}
