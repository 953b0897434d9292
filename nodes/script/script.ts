/**
 * The script that runs on nodes, and the command and input by which it runs there.
 * It never opens a connection, and never puts a value into a command line.
 */
import { createHash } from "node:crypto";
import type { TrustMode } from "../protocol/spec";
import { assembleNodeScript, packagedShell } from "./packaged";
import { nodeProblem } from "../problems";

interface NodeScript {
  readonly text: string;
  readonly sha256: string;
}

let packaged: NodeScript | undefined;

/** The script that runs on nodes, as it is packaged: what `preview --diff` shows and each command pins. */
export function nodeScript(): NodeScript {
  if (!packaged) {
    const text = assembleNodeScript();
    packaged = { text, sha256: createHash("sha256").update(text).digest("hex") };
  }
  return packaged;
}

/** One certificate as the script takes it. */
export interface NodeCertificate {
  /** File name without its extension. */
  readonly name: string;
  /** The registry that it is trusted for: `host` or `host:port`, an IPv6 host in brackets. */
  readonly registry: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string;
  readonly der: Buffer;
}

/** What the script is asked to do. */
export interface NodeOperation {
  readonly op: "install" | "remove" | "restart" | "status" | "reach";
  readonly machineId: string;
  readonly nodeName: string;
  /** The stack's readable name. */
  readonly owner: string;
  /** Which stack it is: a UUID. Stacks of earlier releases have none, and their name says which they are. */
  readonly id?: string | undefined;
  /**
   * The name under which an earlier release installed for this stack. A record of that name that no stack with an id
   * has becomes this stack's.
   */
  readonly former?: string | undefined;
  /** What the node's host name must be, where the machine id alone proves nothing: cloned images share one. */
  readonly hostName?: string | undefined;
  /** Whether `remove` also takes files that have our prefix and that no stack's record on the node claims. */
  readonly unclaimed?: boolean;
  /** Whether `status` also reports the certificates themselves. */
  readonly bodies?: boolean;
  /** Names this installation; letters, digits and `-`. */
  readonly nonce?: string;
  readonly certificates?: readonly NodeCertificate[];
  /**
   * How `install` makes the node trust them, the node's trust store by default: `certs.d` is containerd's folder for
   * the registry, which needs no restart; `auto` is that where it can be used.
   */
  readonly trust?: TrustMode;
  /** Seconds to wait for another run on the node. */
  readonly lockWait?: number;
  /** Whether `remove` also restarts containerd; it does by default. */
  readonly restart?: boolean;
  /** The registries that `reach` looks at, as certificates have them. */
  readonly registries?: readonly string[];
}

const hostLength = 64;

/**
 * The name of a certificate's file on nodes, without extension: `tkc-registry-<host>-<port>-<16 hex of its SHA-256>`.
 *
 * @param registry - `host` or `host:port`; an IPv6 host in brackets
 */
export function certificateFileName(registry: string, sha256: string): string {
  const [, host = registry, port = "443"] = /^(.*?)(?::(\d+))?$/.exec(registry) ?? [];
  const safe = host
    .toLowerCase()
    .replace(/[[\]]/g, "")
    .replace(/[^0-9a-z.-]/g, "-");
  return `tkc-registry-${safe.slice(0, hostLength)}-${port}-${sha256.slice(0, 16)}`;
}

/** A command for the user's login shell on a node, and what goes to its stdin. */
export interface RemoteCommand {
  readonly command: string;
  readonly input: string;
}

/** Quotes a text as one word of a shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The shell drops a NUL or a trailing newline from a parameter's value. */
const lost = /\0|\n$/;
const notOneWord = /[^\x21-\x7e]/;
const uuid = /^[0-9a-f-]{36}$/;

/**
 * Wraps an operation for the node. Nothing of it is part of a command line: the command is the same for all nodes and
 * operations, and runs the script only if its SHA-256 is the one announced.
 *
 * @throws UserError `node-bad-parameter` for a value that the script would not see as it is.
 */
export function remoteCommand(operation: NodeOperation): RemoteCommand {
  const { text, sha256 } = nodeScript();
  const {
    machineId,
    nodeName,
    owner,
    id,
    former,
    hostName,
    nonce = "",
    certificates = [],
    registries = [],
  } = operation;
  const words = [
    ...[nonce, ...registries],
    ...certificates.flatMap((each) => [each.name, each.sha256, each.registry]),
  ];
  if (
    [machineId, nodeName, owner, former ?? "", hostName ?? ""].some((value) => lost.test(value)) ||
    (id !== undefined && !uuid.test(id)) ||
    words.some((word) => notOneWord.test(word))
  ) {
    throw nodeProblem.error(
      "node-bad-parameter",
      {
        subject: `node ${nodeName}`,
        seen: "what is to be done there has a name with characters that none has",
      },
      "name",
    );
  }
  const base64 = (value: string): string => Buffer.from(value).toString("base64");
  const parameters = [
    `op ${operation.op}`,
    `machineId ${base64(machineId)}`,
    `nodeName ${base64(nodeName)}`,
    `owner ${base64(owner)}`,
    ...(id === undefined ? [] : [`id ${id}`]),
    ...(former === undefined ? [] : [`former ${base64(former)}`]),
    ...(hostName === undefined ? [] : [`hostName ${base64(hostName)}`]),
    ...(operation.unclaimed === true ? ["unclaimed yes"] : []),
    ...(operation.bodies === true ? ["bodies yes"] : []),
    ...(nonce === "" ? [] : [`nonce ${nonce}`]),
    ...(operation.lockWait === undefined ? [] : [`lockWait ${operation.lockWait}`]),
    ...(operation.restart === undefined ? [] : [`restart ${operation.restart ? "yes" : "no"}`]),
    ...(operation.trust === undefined ? [] : [`trust ${operation.trust}`]),
    ...certificates.map(
      ({ name, registry, sha256: digest, der }) =>
        `certificate ${name} ${digest} ${der.toString("base64")} ${registry}`,
    ),
    ...registries.map((registry) => `registry ${registry}`),
  ];
  return {
    command: `sudo -n sh -c ${shellQuote(packagedShell("deliver.sh"))}`,
    input: [sha256, ...parameters, "", text].join("\n"),
  };
}
