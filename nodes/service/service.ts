/**
 * The server for node commands. During `up` the program holds a session on each node: a command sends its environment
 * through a private socket and receives its output. The command itself is a shell with curl, since a Node.js process for
 * each command would cost more than the work on the node.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../support/errors";
import { defectText } from "../../support/secrets";
import type { ControlPlane } from "../operations/controlPlane";
import {
  type InstallationInput,
  type OperationContext,
  type PinWriter,
  type ReachGuard,
  applyCa,
  restartContainerd,
} from "../operations/operations";
import type { NodeReader } from "../operations/ready";
import {
  type CertificatesBySha256,
  readCanary,
  readCaOutput,
  readNodeIdentity,
} from "../protocol/environment";
import { formatReport } from "../protocol/report";
import type { Canary, NodeTarget, StackIdentity, UnreachablePolicy } from "../protocol/spec";
import { packagedShell } from "../script/packaged";
import type { InSession } from "../ssh/pool";
import type { Outcomes } from "./outcomes";
import { isServed, makePrivateFolder, shortestPath, socketPath, unlessGone } from "./privateFolder";
import { link, parseCommand, separator, serviceFolder } from "./serviceProtocol";
import { nodeProblem } from "../problems";
import { kubernetesProblem } from "../../kubernetes/problems";

/** A node of the run. */
export interface ServedNode {
  readonly target: NodeTarget;
  /** The host key that it must show, if any is known. */
  readonly hostKey?: string | undefined;
  /** The owner under which a release that made no ids recorded what this stack has on the node. */
  readonly former?: string | undefined;
  /** What its command printed in an earlier run and is going to print again, where that is known. */
  readonly repeats?: string | undefined;
}

/**
 * Pulls on a node what proves that it trusts the registries.
 *
 * @throws UserError where a pull fails, or cannot be tried.
 */
export type CanaryPuller = (
  canary: Canary,
  stack: StackIdentity,
  options: { readonly signal: AbortSignal; readonly log: (line: string) => void },
) => Promise<void>;

/** The end of a wave of nodes. */
export interface ServedWave {
  readonly wave: number;
  readonly pauseSeconds: number;
  /** Whether the run installs anything in the wave. */
  readonly works: boolean;
}

/** Options of {@link NodeService}. */
export interface NodeServiceOptions {
  /** The stack's identity. The socket's path is derived from its id. */
  readonly stack: StackIdentity & { readonly id: string };
  /** The nodes of the run. */
  readonly nodes: readonly ServedNode[];
  /** The ends of waves, at which the run waits; by default there are none. */
  readonly waves?: readonly ServedWave[];
  /** Seconds to wait for a Node to be Ready. */
  readonly readyTimeout: number;
  /** The certificates that commands name by SHA-256. */
  readonly certificates: CertificatesBySha256;
  readonly inSession: InSession;
  readonly readNode: NodeReader;
  readonly notePin: PinWriter;
  readonly controlPlane: ControlPlane;
  readonly pullOnCanary: CanaryPuller;
  readonly reach: ReachGuard;
  /** Whether an unreachable node fails the run or is skipped. */
  readonly unreachable: UnreachablePolicy;
  /** Tells people at once: what a command logs comes when it ends. */
  readonly tell?: (line: string) => void;
  /** Keeps what becomes of each node. */
  readonly outcomes: Outcomes;
}

const unknownCommand = (words: string): UserError =>
  nodeProblem.error(
    "unknown-command",
    { subject: `command "${words}"`, seen: "the running program does not know it" },
    "running",
  );

/** What a program listens at: a name that no other ever has. */
const socketName = /^s[0-9a-f]{6}(?=-|$)/;
const newSocketName = (): string => `s${randomBytes(3).toString("hex")}`;
/** How often a program tries that sees others start at the same time, before it takes one of them for running. */
const attempts = 20;

/** Serves the commands of one run until the program ends, or {@link close}. It does not keep the program alive. */
export class NodeService {
  #server: Server | undefined;
  #socket = "";

  private constructor(
    private readonly folder: string,
    private readonly options: NodeServiceOptions,
  ) {}

  /**
   * Starts serving where no other program serves this stack.
   *
   * Each program listens at a socket of its own before it looks for the others', so that of two the later one sees the
   * earlier one. Whoever sees another gives up its own.
   *
   * @throws UserError `service-folder`, `service-running` where another run of the stack goes on.
   */
  static async start(options: NodeServiceOptions): Promise<NodeService> {
    const service = new NodeService(serviceFolder(options.stack.id, process.env), options);
    for (let attempt = 1; !(await service.#tryToServe()); attempt += 1) {
      if (attempt === attempts || (await isServed(service.#path(link)))) {
        throw nodeProblem.error("service-running", {
          subject: "this stack",
          seen: "another run of it is going on on this machine",
        });
      }
      await sleep(Math.random() * 50 * attempt);
    }
    process.once("exit", service.#clear);
    return service;
  }

  /** @returns Whether this program serves. */
  async #tryToServe(): Promise<boolean> {
    makePrivateFolder(this.folder);
    if (!(await this.#listen())) return false;
    const others = readdirSync(this.folder).filter(
      (name) => socketName.test(name) && name !== this.#socket, // also what a killed program was writing
    );
    const served = await Promise.all(others.map((name) => isServed(this.#path(name))));
    // A program that saw the socket before it was listened at has taken it for a killed program's.
    if (served.includes(true) || !existsSync(this.#path(this.#socket))) {
      await this.close();
      return false;
    }
    for (const name of others) rmSync(this.#path(name), { force: true });
    this.#write("client", (file) => writeFileSync(file, packagedShell("client.sh"), { mode: 0o700 }));
    this.#write(link, (file) => symlinkSync(this.#socket, file));
    return true;
  }

  /** @returns Whether it listens: another program may have taken the folder away, or the socket. */
  async #listen(): Promise<boolean> {
    this.#socket = newSocketName();
    const socket = socketPath(this.folder, this.#socket);
    const server = createServer((request, response) => void this.#serve(request, response));
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).listen(socket, resolve);
      });
      chmodSync(socket, 0o600);
    } catch (error) {
      server.close();
      // Node.js reports a folder that is gone as one that may not be written to.
      if (["EACCES", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
      throw error;
    }
    server.unref();
    this.#server = server;
    return true;
  }

  #path(name: string): string {
    return shortestPath(this.folder, name);
  }

  /** Puts a file in place in one step, as a client may be there. */
  #write(name: string, write: (file: string) => void): void {
    const aside = this.#path(`${this.#socket}-${name}`);
    write(aside);
    renameSync(aside, this.#path(name));
  }

  /** The socket goes last: until then no other program serves, whose files these would be. */
  readonly #clear = (): void => {
    unlessGone(() => {
      if (readlinkSync(this.#path(link)) !== this.#socket) return;
      rmSync(this.#path(link));
      rmSync(this.#path("client"));
    });
    rmSync(this.#path(this.#socket), { force: true });
    unlessGone(() => rmdirSync(this.folder));
  };

  /** Stops serving, and removes the socket. The pool closes the sessions. */
  async close(): Promise<void> {
    process.off("exit", this.#clear);
    this.#clear();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const lines: string[] = [];
    const disconnected = new AbortController();
    response.on("close", () => disconnected.abort());
    const { inSession, readNode, notePin, controlPlane, nodes, unreachable } = this.options;
    const context = {
      inSession,
      readNode,
      notePin,
      controlPlane,
      hostKeyOf: ({ uid }) => nodes.find(({ target }) => target.uid === uid)?.hostKey,
      unreachable,
      log: (line) => void lines.push(`${line}\n`),
      signal: disconnected.signal,
    } satisfies OperationContext;
    let [status, stdout] = [200, ""];
    try {
      stdout = await this.#run(request.url ?? "", await text(request), context);
    } catch (error) {
      status = 422;
      lines.push(`${error instanceof UserError ? error.message : defectText(error)}\n`);
    }
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8", connection: "close" });
    response.end(lines.join("") + separator + stdout);
  }

  /** The targets come from the program; those in the environment are for deletes. */
  #inputFor({ node, uid }: { readonly node: string; readonly uid: string }): InstallationInput {
    const { nodes, stack, readyTimeout, reach } = this.options;
    const found = nodes.find(({ target }) => target.name === node && target.uid === uid);
    if (found) {
      const { target, former, repeats } = found;
      return { target, former, stack, readyTimeout, repeats, reach: reach.one };
    }
    throw kubernetesProblem.error(
      "bad-environment",
      { subject: `node ${node}`, seen: "this run is not about it" },
      "otherRun",
    );
  }

  /** Waits where anything was done in the wave: what is wrong with its nodes shows before the next is begun. */
  async #endWave(number: string, { signal }: OperationContext): Promise<string> {
    const wave = this.options.waves?.find((each) => String(each.wave) === number);
    if (!wave) throw unknownCommand(`wave ${number}`);
    if (wave.pauseSeconds > 0 && wave.works) {
      this.options.tell?.(`wave ${number} is done; the next begins in ${wave.pauseSeconds} s`);
      await sleep(wave.pauseSeconds * 1000, undefined, { signal });
    }
    return "";
  }

  async #run(
    url: string,
    body: string,
    context: OperationContext & { readonly signal: AbortSignal },
  ): Promise<string> {
    const { words, environment } = parseCommand(url, body);
    if (environment["TKC_REGISTRY_ID"] !== this.options.stack.id) {
      throw kubernetesProblem.error(
        "bad-environment",
        { subject: "TKC_REGISTRY_ID", seen: "it is another stack's" },
        "otherRun",
      );
    }
    const { certificates, outcomes } = this.options;
    const [, wave] = /^wave (\d+)$/.exec(words) ?? [];
    if (wave !== undefined) return await this.#endWave(wave, context);
    switch (words) {
      case "ca apply": {
        const input = this.#inputFor(readNodeIdentity(environment));
        return await outcomes.follow(
          input.target,
          context,
          async (following) => {
            await this.options.reach.all();
            return await applyCa(input, environment, certificates, following);
          },
          (stdout) => stdout === input.repeats, // or else its containerd is looked after
        );
      }
      case "containerd restart": {
        const ca = readCaOutput(environment);
        const input = this.#inputFor(ca);
        return await outcomes.follow(
          input.target,
          context,
          (following) => restartContainerd(input, ca, following),
          () => true,
        );
      }
      case "canary pull": {
        const canary = readCanary(environment);
        const { node, uid } = canary;
        const { stack } = this.#inputFor(canary);
        if (outcomes.wasSkipped({ name: node })) {
          throw nodeProblem.error("canary-skipped", {
            subject: `node ${node}`,
            seen: "it is the node that goes first, and was skipped, as it could not be reached",
          });
        }
        // Given no context to follow: what became of the node stays its restart.
        const pull = async (): Promise<string> => {
          await this.options.pullOnCanary(canary, stack, context);
          return formatReport({ version: "1", report: "canary", node, uid });
        };
        return await outcomes.follow({ name: node }, context, pull, () => true);
      }
      default:
        throw unknownCommand(words);
    }
  }
}
