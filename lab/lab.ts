/**
 * The lab: a vSphere with Tanzu in miniature on this machine, for people (`main.ts`) and for tests, who use these
 * functions. Everything that it is made of is under `lab/.lab`, but for what podman keeps while machines run
 * (`/run/tkc-lab-…`), one network interface and one cgroup; {@link down} removes all of it.
 */
import { existsSync, rmSync } from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../support/errors";
import { sideBySide, stopActivities } from "./activity";
import { labProcesses, removeCgroups } from "./cgroups";
import type { Client, ExecResult } from "./exec";
import {
  defaultFleetSettings,
  fleetFiles,
  fleetMachine,
  fleetSshSecret,
  settleFleet,
  type Fleet,
  type FleetSettings,
} from "./fleet";
import { ensureImages, pruneImages, prunePartials, type ImageCache } from "./image";
import { AdminClient, type Kubernetes } from "./kubernetes";
import { exclusively } from "./lock";
import { Machines, type MachineSpec } from "./machines";
import { unmountBelow } from "./mounts";
import { assertNetworkIsFree, isWired, removeNetwork } from "./network";
import {
  forgetLogins,
  logIn as logInAs,
  operatorKubeconfig,
  publishLoginAuthority,
  supervisorLogin as loginOf,
  type SupervisorLogin,
} from "./operator";
import { ensurePackages } from "./packages";
import { labFolder, runFolder, toolsFolder } from "./paths";
import { existingEngine, labEngine, storeInUse, volatileFolder, type Engine } from "./podman";
import { isDefunct } from "./processes";
import { say, step } from "./progress";
import { pulumiEnvironment } from "./pulumi";
import {
  awaitRegistry,
  fillRegistry,
  isRegistryHealthy,
  nextAuthority,
  publishAuthority,
  registriesMachineSpec,
  registryInfo,
  rotateAuthority,
  settleAuthority,
  setGetcert as setGetcertOf,
  settlePassword,
  type GetcertMode,
  type NextCa,
  type RegistryInfo,
} from "./registries";
import {
  password,
  readOrBeginState,
  readState,
  writeState,
  type LabNode,
  type LabState,
  type NodeOs,
} from "./state";
import {
  fillSupervisor,
  forgetCluster,
  loginAuthority,
  settleLogin,
  setTokenLifetime as setTokenLifetimeOf,
  supervisorKubernetes,
  supervisorMachine,
} from "./supervisor";
import { cliOnTerminal } from "./terminal";
import { ensureTools, pruneTools, type Tools } from "./tools";
import {
  fleet,
  freeNodeAddress,
  registriesMachine,
  registryNames,
  supervisor,
  vcenterStranger,
  workerName,
  type RegistryName,
} from "./topology";
import { eventually } from "./waiting";
import {
  awaitNodes,
  fillWorkloadCluster,
  forgetWorkloadCluster,
  nodeMachine,
  nodeReadiness,
  setNodePassword,
  workloadKubernetes,
  type AwaitedNode,
} from "./workload";
import { labProblem } from "./problems";

export type { GetcertMode, LabNode, NextCa, NodeOs, RegistryInfo, SupervisorLogin };

/** What every change of the lab works with. */
interface Lab {
  readonly engine: Engine;
  readonly machines: Machines;
  readonly cache: ImageCache;
  readonly tools: Tools;
}

async function open(): Promise<Lab> {
  await ensurePackages();
  const store = storeInUse();
  const [tools, cache] = await sideBySide(ensureTools, () => ensureImages(store));
  prunePartials();
  if (store === undefined) await Promise.all([pruneImages(), pruneTools()]); // there is no machine yet
  const engine = labEngine(cache.store);
  return { engine, machines: await Machines.open(engine), cache, tools };
}

function notUp(): UserError {
  return labProblem.error("lab-not-up", { subject: "lab", seen: "it is not up" });
}

/** The lab as it was decided on, of an `up` that is running or has ended. */
function existingState(): LabState {
  const state = readState();
  if (!state) throw notUp();
  return state;
}

async function openExisting(): Promise<Lab & { readonly state: LabState }> {
  const state = existingState();
  if (!(await isWired())) throw notUp();
  return { ...(await open()), state };
}

/**
 * Brings the lab up: what is there already is checked and left as it is, what is missing or was killed comes back.
 *
 * @throws UserError when another clone's lab is up, or something that it needs is missing.
 */
export async function up(): Promise<void> {
  await exclusively(async () => {
    await ensurePackages();
    await assertNetworkIsFree();
    const lab = await open();
    const state = readOrBeginState();
    await Promise.all([publishLoginAuthority(), ...registryNames.map(publishAuthority)]);
    const booted = new Map<string, Date | undefined>();
    await step("machines", async (report) => {
      const specs = await allSpecs(lab, state);
      await Promise.all(
        specs.map(async (spec) => {
          booted.set(spec.name, await lab.machines.ensure(spec));
          report(spec.name);
        }),
      );
    });
    await Promise.all([
      step("Supervisor", async () => {
        await settleLogin(lab.machines, state, true, forgetLogins);
        await fillSupervisor(await readyAdmin(lab, supervisorKubernetes), state);
        await awaitImages(lab, [supervisor.name]);
      }),
      step(`workload cluster ${workloadKubernetes.name}`, async () => {
        const admin = await readyAdmin(lab, workloadKubernetes);
        await fillWorkloadCluster(admin);
        await settleNodes(
          lab,
          admin,
          state.nodes.map((node) => ({ node, booted: booted.get(node.name) })),
          state,
        );
      }),
      ...registryNames.map((name) => {
        const info = registryInfo(name, state);
        return step(`registry ${name} (${info.host})`, async () => {
          await settleAuthority(lab.machines, name);
          await settlePassword(lab.machines, info);
          await fillRegistry(lab.engine, info);
        });
      }),
    ]);
    await step("operator's login", () => operatorKubeconfig(state));
  });
}

async function allSpecs(lab: Lab, state: LabState): Promise<readonly MachineSpec[]> {
  const login = await loginAuthority();
  return await Promise.all([
    supervisorMachine(state, lab.cache, lab.tools),
    registriesMachineSpec(state),
    ...state.nodes.map((node) => nodeMachine(node, lab.cache, lab.tools, login)),
  ]);
}

async function readyAdmin(lab: Lab, kubernetes: Kubernetes): Promise<AdminClient> {
  const admin = await AdminClient.for(kubernetes, lab.tools.kubernetes);
  await admin.ready();
  return admin;
}

/** Waits until machines have what no registry of theirs would give them. */
async function awaitImages(lab: Lab, names: readonly string[]): Promise<void> {
  await Promise.all(
    names.map((name) =>
      eventually(`${name} has the images that it has no registry for`, async () => {
        await lab.machines.exec(name, ["test", "-e", "/var/lib/containerd/lab-images"]);
        return true;
      }),
    ),
  );
}

async function settleNodes(
  lab: Lab,
  admin: AdminClient,
  awaited: readonly AwaitedNode[],
  state: LabState,
): Promise<void> {
  const names = awaited.map(({ node }) => node.name);
  await Promise.all([
    awaitNodes(admin, awaited),
    awaitImages(lab, names),
    ...awaited.map(({ node }) => setNodePassword(lab.machines, node, state)),
  ]);
}

/**
 * Takes the lab down: processes, machines, networks, mounts and files. What was built stays, as building takes
 * minutes, unless `purge` is set.
 */
export async function down(options: { readonly purge?: boolean } = {}): Promise<void> {
  await exclusively(async () => {
    await step("taking the lab down", async () => {
      const pids = new Set(labProcesses());
      await existingEngine()?.podman(["rm", "--force", "--time", "0", "--all"], { allowFailure: true });
      for (const pid of await killProcesses()) pids.add(pid);
      await awaitBurial([...pids]);
      await removeNetwork();
      const place = options.purge === true ? labFolder : runFolder;
      await unmountBelow(labFolder);
      await unmountBelow(volatileFolder);
      removeCgroups();
      rmSync(volatileFolder, { recursive: true, force: true });
      rmSync(place, { recursive: true, force: true });
    });
  });
}

/** Kills all that is in the lab's cgroup, whatever the engine knows of it: also what a power cut does. Gives their ids. */
export async function killProcesses(): Promise<ReadonlySet<number>> {
  const killed = new Set<number>();
  await eventually("all processes of the lab's machines have ended", (see) => {
    const pids = labProcesses();
    for (const pid of pids) {
      killed.add(pid);
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
    see(`still there: ${pids.join(", ")}`);
    return Promise.resolve(pids.length === 0 ? true : undefined);
  });
  return killed;
}

/** Seconds that this machine's first process has to ask how its children ended: some look only now and then. */
const burialSeconds = 20;

/** Waits until processes that ended are gone from lists, where they are `<defunct>` at first. */
async function awaitBurial(pids: readonly number[]): Promise<void> {
  const end = performance.now() + burialSeconds * 1000;
  let defunct = pids.filter(isDefunct);
  for (; defunct.length > 0 && performance.now() < end; defunct = defunct.filter(isDefunct)) await sleep(100);
  if (defunct.length === 0) return;
  say(
    `  ${defunct.length} processes that ended stay in lists as <defunct>: this machine's process 1 does not ask for them.`,
  );
}

/**
 * Stops what goes on in this process, for a signal handler: a change of the lab gives up and fails, with the programs
 * that it has running; a Pulumi CLI that has the terminal is waited for, as it has its own way to end. When this
 * resolves, nothing of it goes on; what is called from then on works, such as {@link down}.
 */
export async function interrupt(): Promise<void> {
  await Promise.all([stopActivities(), cliOnTerminal()]);
}

/** Whether this folder's lab is up: networks, machines, both API servers. */
export async function isUp(): Promise<boolean> {
  if (!readState() || !(await isWired())) return false;
  const { machines, nodes } = await status();
  return [...machines, ...nodes].every(({ healthy }) => healthy);
}

export interface Health {
  readonly name: string;
  /** For people. */
  readonly detail: string;
  readonly healthy: boolean;
}

/** What the lab's parts say of themselves. */
export interface LabStatus {
  readonly machines: readonly Health[];
  readonly nodes: readonly Health[];
  readonly registries: readonly Health[];
}

/**
 * Asks every part of the lab how it is.
 *
 * @throws UserError when the lab isn't up.
 */
export async function status(): Promise<LabStatus> {
  const state = existingState();
  const engine = existingEngine();
  if (!engine || !(await isWired())) throw notUp();
  const [machines, readiness, registryHealth] = await Promise.all([
    Promise.all(machineNames().map(async (name) => [name, await engine.state(name)] as const)),
    (async () => {
      try {
        return await nodeReadiness(await adminOf("workload"));
      } catch {
        return new Map<string, boolean>(); // the API server doesn't answer
      }
    })(),
    Promise.all(registryNames.map((name) => isRegistryHealthy(registryInfo(name, state)))),
  ]);
  return {
    machines: machines.map(([name, machine]) => ({
      name,
      detail: machine === undefined ? "not there" : machine.pid === undefined ? "stopped" : "running",
      healthy: machine?.pid !== undefined,
    })),
    nodes: state.nodes.map(({ name, role, os, address }) => {
      const ready = readiness.get(name) === true;
      return { name, detail: `${ready ? "Ready" : "not Ready"}  ${role}  ${os}  ${address}`, healthy: ready };
    }),
    registries: registryNames.map((name, index) => {
      const healthy = registryHealth[index] === true;
      return {
        name,
        detail: `${healthy ? "healthy" : "not healthy"}  ${registryInfo(name, state).image}`,
        healthy,
      };
    }),
  };
}

/** The workload cluster's nodes, as the lab made them. */
export function nodes(): Promise<readonly LabNode[]> {
  return Promise.resolve(existingState().nodes);
}

/** What there is to know of the registries. */
export function registries(): Readonly<Record<RegistryName, RegistryInfo>> {
  const state = existingState();
  return { harbor: registryInfo("harbor", state), custom: registryInfo("custom", state) };
}

function existingMachinesEngine(): Engine {
  const engine = existingEngine();
  if (!engine) throw notUp();
  return engine;
}

/**
 * Runs a program on a node as root, and gives what it printed.
 *
 * @throws CommandError when it ends with another code than 0.
 */
export async function nodeExec(node: string, argv: readonly string[], input?: string): Promise<string> {
  const options = input === undefined ? {} : { input };
  const { stdout } = await existingMachinesEngine().exec(node, argv, options);
  return stdout;
}

/** The machines that there are to look into. */
export function machineNames(): readonly string[] {
  return [supervisor.name, registriesMachine, ...existingState().nodes.map(({ name }) => name)];
}

/**
 * The command line that runs a program on a machine as root, for those who start it themselves, on a terminal too.
 *
 * @throws UserError when the machine does not run.
 */
export function machineCommand(name: string, argv: readonly string[]): Promise<Client> {
  return existingMachinesEngine().inside(name, argv);
}

const kubernetesOf = { supervisor: supervisorKubernetes, workload: workloadKubernetes } as const;

async function adminOf(which: keyof typeof kubernetesOf): Promise<AdminClient> {
  return AdminClient.for(kubernetesOf[which], (await ensureTools()).kubernetes);
}

/**
 * Runs kubectl with the administrator's rights, which no operator of a real Supervisor has, and gives what it printed.
 *
 * @throws CommandError when kubectl ends with another code than 0.
 */
export async function adminKubectl(
  which: "supervisor" | "workload",
  args: readonly string[],
): Promise<string> {
  return (await (await adminOf(which)).kubectl(args)).stdout;
}

/** How the operator logs in to the Supervisor. */
export function supervisorLogin(): SupervisorLogin {
  return loginOf(existingState());
}

/** Logs the operator in to the Supervisor anew, and gives what the product's login printed. */
export async function logIn(): Promise<ExecResult> {
  return await logInAs(existingState());
}

/** What the operator's shell is set up with: see `npm run lab -- env`. `pulumi` is the CLI's name on its PATH. */
export async function operator(): Promise<{ readonly pulumi: string; readonly env: NodeJS.ProcessEnv }> {
  const kubeconfig = await operatorKubeconfig(existingState());
  return { pulumi: "pulumi", env: pulumiEnvironment(await ensureTools(), { kubeconfig }) };
}

/** Which Pulumi runs stacks here, for people: a line for each part, with its version and where it is from. */
export async function pulumiParts(): Promise<readonly string[]> {
  return (await ensureTools()).pulumi;
}

/** The environment of somebody who can log in, and has no rights anywhere. */
export async function unprivilegedOperator(): Promise<NodeJS.ProcessEnv> {
  return { KUBECONFIG: await operatorKubeconfig(existingState(), vcenterStranger) };
}

/** Sets what Harbor's `getcert` answers; `v2` is how the lab comes up. */
export async function setGetcert(mode: GetcertMode): Promise<void> {
  const { machines } = await openExisting();
  await setGetcertOf(machines, mode);
}

/** Sets how long tokens that are issued from now on are good for: `30s`, `10h`. */
export async function setTokenLifetime(lifetime: string): Promise<void> {
  const { machines } = await openExisting();
  await setTokenLifetimeOf(machines, lifetime);
}

/** The authority that the following {@link rotateCa} gives a registry, for those who trust it beforehand. */
export async function nextCa(name: RegistryName = "harbor"): Promise<NextCa> {
  return exclusively(async () => {
    existingState();
    return await nextAuthority(name);
  });
}

/** Gives a registry a new authority, that of {@link nextCa} if it was asked for, and a certificate of it. */
export async function rotateCa(name: RegistryName = "harbor"): Promise<RegistryInfo> {
  return exclusively(async () => {
    const { machines, state } = await openExisting();
    await rotateAuthority(machines, name);
    const info = registryInfo(name, state);
    await awaitRegistry(info);
    return info;
  });
}

/** Gives a registry's user another password; the one before is refused from then on. */
export async function setRegistryPassword(name: RegistryName, to = password()): Promise<RegistryInfo> {
  return exclusively(async () => {
    const { machines, state } = await openExisting();
    const registries = { ...state.passwords.registries, [name]: to };
    const changed = { ...state, passwords: { ...state.passwords, registries } };
    writeState(changed);
    const info = registryInfo(name, changed);
    await settlePassword(machines, info);
    await awaitRegistry(info);
    return info;
  });
}

async function bringNodeUp(lab: Lab, state: LabState, node: LabNode): Promise<void> {
  const booted = await lab.machines.ensure(
    await nodeMachine(node, lab.cache, lab.tools, await loginAuthority()),
  );
  await settleNodes(lab, await adminOf("workload"), [{ node, booted }], state);
}

/** Adds a worker to the cluster, waits until it is Ready and gives its name. */
export async function addWorker(options: { readonly os?: NodeOs } = {}): Promise<string> {
  return exclusively(async () => {
    const { state, ...lab } = await openExisting();
    const node: LabNode = {
      name: workerName(state.pool),
      role: "worker",
      os: options.os ?? "photon",
      address: freeNodeAddress(state.nodes.map(({ address }) => address)),
    };
    const grown = { ...state, nodes: [...state.nodes, node] };
    writeState(grown);
    await step(`node ${node.name} (${node.os}, ${node.address})`, () => bringNodeUp(lab, grown, node));
    return node.name;
  });
}

/** @throws UserError when there is no such worker. The control plane is one node: the cluster lives and dies with it. */
function workerOf(state: LabState, name: string): LabNode {
  const node = state.nodes.find((each) => each.name === name && each.role === "worker");
  if (node) return node;
  const workers = state.nodes.filter(({ role }) => role === "worker").map((each) => each.name);
  throw labProblem.error(
    "lab-no-such-worker",
    {
      subject: `node ${name}`,
      seen: state.nodes.some((each) => each.name === name)
        ? "it is the cluster's control plane"
        : "the lab has no such node",
    },
    ...(workers.length === 0 ? (["none"] as const) : (["others", workers] as const)),
  );
}

/** Removes a worker: its Node object, then its machine. */
export async function removeNode(name: string): Promise<void> {
  await exclusively(async () => {
    const { state, machines } = await openExisting();
    workerOf(state, name);
    await adminKubectl("workload", ["delete", "node", name, "--ignore-not-found"]);
    await machines.remove(name);
    writeState({ ...state, nodes: state.nodes.filter((node) => node.name !== name) });
  });
}

/**
 * Replaces a worker by a new machine of the same name: other host keys, machine id and UID.
 *
 * @param options.newAddress - Give it another address than the old one's.
 */
export async function replaceNode(
  name: string,
  options: { readonly newAddress?: boolean } = {},
): Promise<LabNode> {
  return exclusively(async () => {
    const { state, ...lab } = await openExisting();
    const old = workerOf(state, name);
    const address =
      options.newAddress === true ? freeNodeAddress(state.nodes.map((each) => each.address)) : old.address;
    const node = { ...old, address };
    await step(`node ${name}, anew (${node.os}, ${address})`, async () => {
      await adminKubectl("workload", ["delete", "node", name, "--ignore-not-found"]);
      await lab.machines.remove(name);
      const changed = { ...state, nodes: state.nodes.map((each) => (each.name === name ? node : each)) };
      writeState(changed);
      await bringNodeUp(lab, changed, node);
    });
    return node;
  });
}

/**
 * Deletes the workload cluster as a vSphere administrator would: the cluster and its secrets are gone from the
 * namespace, and so are its machines, so that nothing answers at its address. What people have of it, such as a
 * kubeconfig, they keep. {@link createCluster} is the way back, and so is {@link up}.
 */
export async function deleteCluster(): Promise<void> {
  await exclusively(async () => {
    const { machines, state } = await openExisting();
    await step(`workload cluster ${workloadKubernetes.name}, deleted`, async () => {
      await forgetCluster(await adminOf("supervisor"));
      await settleLogin(machines, state, false);
      await Promise.all(state.nodes.map(({ name }) => machines.remove(name)));
      writeState({ ...state, passwords: { ...state.passwords, node: password() } });
      forgetWorkloadCluster();
    });
  });
}

/**
 * Creates the workload cluster that was deleted anew: the same names and addresses; other authorities, keys, password
 * and UIDs; nothing in it. The operator logs in again.
 */
export async function createCluster(): Promise<void> {
  await exclusively(async () => {
    await openExisting();
    await up();
  });
}

/**
 * Brings a fleet of simulated nodes up beside the lab that is up, or changes the one that there is.
 *
 * @param count - How many nodes, at most {@link fleetLimit}.
 */
export async function fleetUp(count: number, settings: Partial<FleetSettings> = {}): Promise<Fleet> {
  return exclusively(async () => {
    const { machines, tools } = await openExisting();
    return await step(`fleet of ${count} nodes`, async () => {
      await machines.ensure(await fleetMachine(tools, await loginAuthority()));
      await (await adminOf("supervisor")).apply(await fleetSshSecret());
      return await settleFleet(machines, tools.kubernetes, count, { ...defaultFleetSettings, ...settings });
    });
  });
}

/** Takes the fleet away. */
export async function fleetDown(): Promise<void> {
  await exclusively(async () => {
    const { machines } = await openExisting();
    await machines.remove(fleet.name);
    for (const file of fleetFiles) rmSync(file, { force: true });
    await adminKubectl("supervisor", [
      ...["delete", "secret", `${fleet.name}-ssh`, "--namespace", supervisor.namespace, "--ignore-not-found"],
    ]);
  });
}

/** What stays after {@link down}: the folder of what was built, if there is one. */
export function keptFolder(): string | undefined {
  return existsSync(toolsFolder) ? path.relative(process.cwd(), toolsFolder) || "." : undefined;
}
