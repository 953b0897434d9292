/**
 * The lab's networks. They are in the network namespace of a container of their own, the switch: bridges and a router
 * between them. This machine has one end of one wire into it, an interface with one address and one route, and
 * no packet filter rule, so that neither does the lab depend on the machine's firewall nor does it change it. When
 * the switch's process ends, however it does, the kernel takes all of this away.
 */
import { CommandError, exec } from "./exec";
import { projectRoot } from "./paths";
import { labRange, management, networks, operator, supervisor, type Network } from "./topology";
import { labProblem } from "./problems";
import { eventually } from "./waiting";

interface Link {
  readonly ifalias?: string;
}

/** The lab's mark on its interface: which clone it is of, within the length that the kernel keeps. */
const mark = projectRoot.slice(-255);

interface Route {
  readonly dst: string;
  readonly dev?: string;
}

async function labInterface(): Promise<Link | undefined> {
  const { code, stdout } = await exec("ip", ["-json", "link", "show", "dev", operator.interface], {
    allowFailure: true,
  });
  return code === 0 ? (JSON.parse(stdout) as Link[])[0] : undefined;
}

/** The clone whose lab is up on this machine: this one or another. */
async function labHolder(): Promise<string | undefined> {
  const link = await labInterface();
  return link && (link.ifalias ?? "a clone that is just bringing it up");
}

/**
 * Checks that the lab's addresses are free for this folder's lab.
 *
 * @throws UserError when another clone's lab is up, or the machine has a network of its own there.
 */
export async function assertNetworkIsFree(): Promise<void> {
  const holder = await labHolder();
  if (holder !== undefined && holder !== mark) {
    throw labProblem.error("lab-elsewhere", {
      subject: "lab",
      seen: `another lab is up on this machine: that of ${holder}`,
    });
  }
  const { stdout } = await exec("ip", ["-json", "route", "show", "root", labRange]);
  const foreign = (JSON.parse(stdout || "[]") as Route[]).find((route) => route.dev !== operator.interface);
  if (foreign) {
    throw labProblem.error("lab-network-taken", {
      subject: "lab",
      seen: `the lab's addresses (${labRange}) are routed to ${foreign.dst} on ${foreign.dev ?? "this machine"}`,
    });
  }
}

/** Runs `ip` commands, one a line, in the network namespace of a process. */
async function ipIn(pid: number, commands: readonly string[]): Promise<void> {
  await exec("nsenter", ["--net", "--target", String(pid), "ip", "-batch", "-"], {
    input: `${commands.join("\n")}\n`,
  });
}

async function forwardIn(pid: number): Promise<void> {
  await exec("nsenter", [
    "--net",
    "--target",
    String(pid),
    "sysctl",
    "--quiet",
    "--write",
    "net.ipv4.ip_forward=1",
  ]);
}

/** Whether this machine is joined to the switch of this folder's lab, with nothing left to do. */
export async function isWired(): Promise<boolean> {
  return (await labInterface())?.ifalias === mark;
}

/**
 * Waits until the interface is gone whose switch has ended, which the kernel sees to a moment later. One without a mark
 * may be what is left of it too. Another clone's stays.
 */
export async function awaitNoInterface(): Promise<void> {
  await eventually(
    `${operator.interface} is gone, or has the mark of another lab`,
    async () => {
      const link = await labInterface();
      return !link || (link.ifalias !== undefined && link.ifalias !== mark) ? true : undefined;
    },
    60,
  );
}

/**
 * Makes bridges and router in the switch, and joins this machine to them.
 *
 * @throws UserError when another clone's lab came first.
 */
export async function wireSwitch(switchPid: number): Promise<void> {
  await ipIn(switchPid, [
    "link set lo up",
    ...networks.flatMap(({ bridge, gateway, prefixLength }) => [
      `link add ${bridge} type bridge`,
      `addr add ${gateway}/${prefixLength} dev ${bridge}`,
      `link set ${bridge} up`,
    ]),
    `route add ${supervisor.podSubnet} via ${supervisor.address}`,
  ]);
  await forwardIn(switchPid);
  try {
    // The name is this machine's claim: only one lab can have it.
    await exec("ip", [
      ...["link", "add", operator.interface, "type", "veth"],
      ...["peer", "name", "operator", "netns", String(switchPid)],
    ]);
  } catch (error) {
    if (error instanceof CommandError) await assertNetworkIsFree();
    throw error;
  }
  await ipIn(switchPid, [`link set operator master ${management.bridge} up`]);
  await exec("ip", ["-batch", "-"], {
    input: [
      `addr add ${operator.address}/${management.prefixLength} dev ${operator.interface}`,
      `link set ${operator.interface} up`,
      `route add ${labRange} via ${management.gateway}`,
      "",
    ].join("\n"),
  });
  // Last, as it says that all else is done.
  await exec("ip", ["link", "set", operator.interface, "alias", mark]);
}

export interface Wiring {
  readonly network: Network;
  readonly addresses: readonly string[];
  /** The subnet of the machine's pods, if it has any. */
  readonly podSubnet?: string;
}

/** The switch's end of a machine's wire, within the 15 characters that a name may have: `port-1-34`. */
function portName(address: string): string {
  return `port-${address.split(".").slice(2).join("-")}`;
}

/** Whether a machine's wire is there, with nothing left to do. It goes with the switch. */
export async function isMachineWired(pid: number): Promise<boolean> {
  const { stdout } = await exec("nsenter", [
    "--net",
    "--target",
    String(pid),
    "ip",
    "route",
    "show",
    "default",
  ]);
  return stdout.includes("dev eth0");
}

/** Joins a machine's network namespace to its network. */
export async function wireMachine(switchPid: number, pid: number, wiring: Wiring): Promise<void> {
  const { network, addresses, podSubnet } = wiring;
  const first = addresses[0]!;
  const port = portName(first);
  // What is left of a machine that was killed a moment ago would be in the way.
  await exec("nsenter", ["--net", "--target", String(switchPid), "ip", "link", "delete", port], {
    allowFailure: true,
  });
  await ipIn(switchPid, [
    `link add ${port} type veth peer name eth0 netns ${pid}`,
    `link set ${port} master ${network.bridge} up`,
    ...(podSubnet === undefined || podSubnet === supervisor.podSubnet
      ? []
      : [`route replace ${podSubnet} via ${first}`]),
  ]);
  await ipIn(pid, [
    "link set lo up",
    "link set eth0 up",
    ...addresses.map((address) => `addr add ${address}/${network.prefixLength} dev eth0`),
    `route add default via ${network.gateway} src ${first}`,
  ]);
  if (podSubnet !== undefined) await forwardIn(pid);
}

/** Takes away what of the network is left when the switch is gone: nothing, unless it was interrupted half-way. */
export async function removeNetwork(): Promise<void> {
  if (!(await isWired())) return;
  try {
    await exec("ip", ["link", "delete", operator.interface]);
  } catch (error) {
    if (await isWired()) throw error; // else the kernel was faster
  }
}
