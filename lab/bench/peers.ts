/**
 * What is measured: this project, what people would use instead, and the floors below which neither can get. Each
 * brings the same CA to the same nodes, as many at a time.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import * as path from "node:path";
import type { Client } from "../exec";
import { fleetKubeconfigFile, fleetSshKey, type Fleet } from "../fleet";
import * as lab from "../lab";
import { volatileFolder } from "../podman";
import { LabStack } from "../stack";
import { fleet as fleetPlace, nodeUser, supervisor } from "../topology";
import { pythonProgram } from "./python";
import { scratchFile, scratchFolder } from "./scratch";

/** How the nodes are reached; what reaches none counts as `direct`. */
export type Transport = "direct" | "jumpbox";

/** How much there is for the engine to do: the floor is measured with as much as our own stack last had. */
export interface EngineLoad {
  commands: number;
  /** All other resources that a program declares. */
  others: number;
}

/** What every client is given. */
export interface Task {
  readonly fleet: Fleet;
  /** How many nodes at a time. */
  readonly atOnce: number;
  readonly transport: Transport;
  /** Put right by our own stack's run. */
  readonly load: EngineLoad;
}

/** What a step must have achieved: all nodes trust the CA, none has it any more, or nothing that nodes could tell. */
export type Goal = "trusting" | "clean" | "none";

/** One measured command of a run. `first` and `second` are those that all have in common. */
export interface Step {
  readonly name: "preview" | "first" | "second" | "drift" | "destroy";
  readonly client: Client;
  readonly goal: Goal;
  /** What happens before it, unmeasured. */
  readonly before?: () => Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly transports: readonly Transport[];
  /** Whether a run takes minutes, so that it is measured once unless told otherwise. */
  readonly slow?: true;
  /** Whether it is Pulumi's engine that does the work. */
  readonly engine?: true;
  /** Prepares a run on nodes that are as they were at the beginning, and gives its steps. */
  readonly steps: (task: Task) => Promise<readonly Step[]>;
}

const clients = path.join(__dirname, "clients");

/** The CA that is brought to the nodes: a registry's of the lab. */
const caFile = (): string => lab.registries().harbor.caFile;

/** SHA-256 of the CA's file as it must be on every node. */
export const caFileSha256 = (): string => createHash("sha256").update(readFileSync(caFile())).digest("hex");

/** A run that does the same twice. */
function twice(client: Client): readonly Step[] {
  return [
    { name: "first", client, goal: "trusting" },
    { name: "second", client, goal: "trusting" },
  ];
}

/**
 * Where ssh keeps the sockets of connections that it shares; the names of sockets must be short. What holds the
 * connections is ended after each step, as all that a client leaves running.
 */
const socketsFolder = path.join(volatileFolder, "bench");

const keyFile = async (): Promise<string> => scratchFile("id_rsa", await fleetSshKey());

async function sshSteps(script: string, { fleet, atOnce }: Task): Promise<readonly Step[]> {
  mkdirSync(socketsFolder, { recursive: true, mode: 0o700 });
  return twice({
    argv: ["sh", path.join(clients, "ssh", script)],
    env: {
      ...process.env,
      KEY: await keyFile(),
      USER_NAME: nodeUser,
      CA: caFile(),
      SOCKETS: socketsFolder,
      AT_ONCE: String(atOnce),
      ADDRESSES: scratchFile("addresses", fleet.nodes.map(({ address }) => `${address}\n`).join("")),
    },
  });
}

async function ansibleSteps({ fleet, atOnce }: Task): Promise<readonly Step[]> {
  const inventory = [
    "[all:vars]",
    `ansible_user=${nodeUser}`,
    "ansible_python_interpreter=/usr/bin/python3", // it would look for one on each node
    `ansible_ssh_private_key_file=${await keyFile()}`,
    "[all]",
    ...fleet.nodes.map(({ name, address }) => `${name} ansible_host=${address}`),
  ];
  return twice({
    argv: [
      pythonProgram("ansible-playbook"),
      ...["--inventory", scratchFile("inventory.ini", `${inventory.join("\n")}\n`)],
      ...["--forks", String(atOnce), "--extra-vars", JSON.stringify({ ca: caFile() })],
      path.join(clients, "ansible", "playbook.yml"),
    ],
    env: {
      ...process.env,
      ANSIBLE_HOME: path.join(scratchFolder(), "ansible"),
      ANSIBLE_SSH_CONTROL_PATH_DIR: socketsFolder,
      ANSIBLE_HOST_KEY_CHECKING: "False",
      ANSIBLE_PIPELINING: "True", // the nodes' sudo asks for no terminal
    },
  });
}

async function pyinfraSteps({ fleet, atOnce }: Task): Promise<readonly Step[]> {
  const access = {
    ssh_user: nodeUser,
    ssh_key: await keyFile(),
    ssh_strict_host_key_checking: "off",
    ca: caFile(),
  };
  const hosts = fleet.nodes.map(({ address }) => `    ("${address}", ${JSON.stringify(access)}),\n`);
  return twice({
    argv: [
      ...([pythonProgram("pyinfra"), "--yes", "--parallel", String(atOnce)] as const),
      ...[
        scratchFile("inventory.py", `nodes = [\n${hosts.join("")}]\n`),
        path.join(clients, "pyinfra", "deploy.py"),
      ],
    ],
    cwd: scratchFolder(),
    env: { ...process.env, HOME: scratchFolder() },
  });
}

/** What `pulumi up` is given everywhere: the preview of the same command would run the program twice. */
const upArguments = (atOnce: number): string[] => [
  "up",
  "--yes",
  "--skip-preview",
  "--parallel",
  String(atOnce),
];

const ownStack = (transport: Transport): LabStack =>
  new LabStack(`bench-${transport}`, { kubeconfigs: [fleetKubeconfigFile] });
const floorStack = (env: NodeJS.ProcessEnv = {}): LabStack =>
  new LabStack("bench-floor", { project: path.join(clients, "floor"), env });
const jumpboxName = "bench-jumpbox";

/** Takes away what runs that were cut off have left in a lab that stays up. */
export async function removeLeftovers(): Promise<void> {
  for (const stack of [ownStack("direct"), ownStack("jumpbox"), floorStack()]) await stack.remove();
  await lab.adminKubectl("supervisor", [
    ...["delete", "pod", jumpboxName, "--namespace", supervisor.namespace, "--ignore-not-found", "--now"],
  ]);
  for (const folder of [scratchFolder(), socketsFolder]) rmSync(folder, { recursive: true, force: true });
}

async function ownSteps({ fleet, atOnce, transport, load }: Task): Promise<readonly Step[]> {
  const stack = ownStack(transport);
  await stack.remove();
  await stack.configure({
    namespace: supervisor.namespace,
    cluster: fleetPlace.name,
    access: transport,
    jumpbox: { name: jumpboxName },
    registries: [
      {
        host: lab.registries().harbor.host,
        ca: { from: "file", path: caFile() },
        credentials: { from: "none" },
        requireReachable: false, // the simulated nodes do not know its name
      },
    ],
    deployment: { enabled: false },
    nodes: { workersAtOnce: atOnce },
  });
  const up = await stack.command(upArguments(atOnce));
  const drifting = fleet.nodes.at(-1)!;
  return [
    { name: "preview", client: await stack.command(["preview"]), goal: "none" },
    { name: "first", client: up, goal: "trusting" },
    {
      name: "second",
      client: up,
      goal: "trusting",
      before: async () => {
        const types = await stack.resourceTypes();
        load.commands = types.filter((type) => type === "command:local:Command").length;
        load.others = types.filter((type) => !type.startsWith("pulumi:")).length - load.commands;
      },
    },
    {
      name: "drift",
      client: up,
      goal: "trusting",
      before: async () => {
        await fleet.onNode(drifting, "rm /etc/ssl/certs/tkc-registry-*.pem && rehash_ca_certificates.sh");
      },
    },
    {
      name: "destroy",
      client: await stack.command(["destroy", "--yes", "--skip-preview", "--parallel", String(atOnce)]),
      goal: "clean",
    },
  ];
}

async function floorSteps({ atOnce, load }: Task): Promise<readonly Step[]> {
  const stack = floorStack({
    FLOOR_COMMANDS: String(load.commands),
    FLOOR_COMPONENTS: String(load.others),
  });
  await stack.remove();
  await stack.configure({});
  const up = await stack.command(upArguments(atOnce));
  return [
    { name: "first", client: up, goal: "none" },
    { name: "second", client: up, goal: "none" },
  ];
}

/** The nodes' own time, below which nobody gets. */
async function nodeWorkSteps({ fleet, atOnce }: Task): Promise<readonly Step[]> {
  return [{ name: "first", client: await fleet.nodeWork(atOnce), goal: "none" }];
}

/** All peers, in the order in which they are measured and shown. */
export const peers: readonly Peer[] = [
  {
    name: "sequential",
    transports: ["direct"],
    slow: true,
    steps: (task) => sshSteps("sequential.sh", task),
  },
  { name: "xargs-ssh", transports: ["direct"], steps: (task) => sshSteps("parallel.sh", task) },
  { name: "ansible", transports: ["direct"], slow: true, steps: ansibleSteps },
  { name: "pyinfra", transports: ["direct"], steps: pyinfraSteps },
  { name: "tkc-registry", transports: ["direct", "jumpbox"], engine: true, steps: ownSteps },
  { name: "engine-floor", transports: ["direct"], engine: true, steps: floorSteps },
  { name: "node-work", transports: ["direct"], steps: nodeWorkSteps },
];
