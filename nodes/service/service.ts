/**
 * The server for node commands. During `up` the program holds a session on each node: a command sends its environment
 * through a private socket and receives its output. The command itself is a shell with curl, since a Node.js process for
 * each command would cost more than the work on the node.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { createConnection } from "node:net";
import * as path from "node:path";
import { text } from "node:stream/consumers";
import { UserError } from "../../support/errors";
import { defectText } from "../../support/secrets";
import { applyCa, restartContainerd, type OperationContext } from "../operations/operations";
import type { NodeReader } from "../operations/ready";
import {
  type CertificatesBySha256,
  type CommandInput,
  readCaOutput,
  readNodeIdentity,
} from "../protocol/environment";
import type { NodeTarget, UnreachablePolicy } from "../protocol/spec";
import { packagedShell } from "../script/packaged";
import type { InSession } from "../ssh/pool";
import { parseCommand, separator, serviceFolder } from "./serviceProtocol";
import { nodeProblem } from "../problems";
import { kubernetesProblem } from "../../kubernetes/problems";

/** Options of {@link NodeService}. */
export interface NodeServiceOptions {
  /** The stack's identity, from which the socket's path is derived. */
  readonly owner: string;
  /** The nodes of the run. */
  readonly targets: readonly NodeTarget[];
  /** Seconds to wait for a Node to be Ready. */
  readonly readyTimeout: number;
  /** The certificates that commands name by SHA-256. */
  readonly certificates: CertificatesBySha256;
  readonly inSession: InSession;
  readonly readNode: NodeReader;
  /** Whether an unreachable node fails the run or is skipped. */
  readonly unreachable: UnreachablePolicy;
}

/** The limit for a socket's path on Linux and macOS. */
const socketPathLimit = 103;

/** Creates a folder for this user only. Refuses one that belongs to another user. */
function makePrivateFolder(folder: string): void {
  const refuse = (seen: string): never => {
    throw nodeProblem.error("service-folder", { subject: folder, seen }, "shared");
  };
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    if (!found.isDirectory()) refuse("it is not a folder");
    if (found.uid !== process.geteuid?.()) refuse("it belongs to another user");
    chmodSync(folder, 0o700);
  } catch (error) {
    if (error instanceof UserError) throw error;
    refuse(`it cannot be used: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** Whether a program answers at a socket: a killed program leaves the file behind. */
function isServed(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    connection.on("error", () => resolve(false));
    connection.on("connect", () => {
      connection.destroy();
      resolve(true);
    });
  });
}

/** The shorter of the absolute and the relative path: a socket's path is limited. */
function shortest(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.length < file.length ? relative : file;
}

/** Serves the commands of one run until the program ends, or {@link close}. It does not keep the program alive. */
export class NodeService {
  readonly #server: Server;

  private constructor(
    private readonly folder: string,
    private readonly options: NodeServiceOptions,
  ) {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /**
   * @throws UserError `service-folder`, `service-running` where another run of the stack goes on.
   */
  static async start(options: NodeServiceOptions): Promise<NodeService> {
    const folder = serviceFolder(options.owner, process.env);
    makePrivateFolder(folder);
    const service = new NodeService(folder, options);
    await service.#listen();
    process.once("exit", service.#clear);
    return service;
  }

  async #listen(): Promise<void> {
    const socket = shortest(path.join(this.folder, "socket"));
    if (socket.length > socketPathLimit) {
      throw nodeProblem.error(
        "service-folder",
        { subject: this.folder, seen: `its path is too long for a socket (${socketPathLimit} characters)` },
        "path",
      );
    }
    if (await isServed(socket)) {
      throw nodeProblem.error("service-running", {
        subject: "this stack",
        seen: "another run of it is going on on this machine",
      });
    }
    rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(socket, resolve);
    });
    this.#server.unref();
    chmodSync(socket, 0o600);
    writeFileSync(path.join(this.folder, "client"), packagedShell("client.sh"), { mode: 0o700 });
  }

  readonly #clear = (): void => rmSync(this.folder, { recursive: true, force: true });

  /** Stops serving, and removes the socket. The pool closes the sessions. */
  async close(): Promise<void> {
    process.off("exit", this.#clear);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#clear();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const lines: string[] = [];
    const disconnected = new AbortController();
    response.on("close", () => disconnected.abort());
    const { inSession, readNode, unreachable } = this.options;
    const context: OperationContext = {
      inSession,
      readNode,
      unreachable,
      log: (line) => void lines.push(`${line}\n`),
      signal: disconnected.signal,
    };
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
  #inputFor({ node, uid }: { readonly node: string; readonly uid: string }): CommandInput {
    const { targets, owner, readyTimeout } = this.options;
    const target = targets.find((each) => each.name === node && each.uid === uid);
    if (target) return { target, owner, readyTimeout };
    throw kubernetesProblem.error(
      "bad-environment",
      { subject: `node ${node}`, seen: "this run is not about it" },
      "otherRun",
    );
  }

  async #run(url: string, body: string, context: OperationContext): Promise<string> {
    const { words, environment } = parseCommand(url, body);
    switch (words) {
      case "ca apply":
        return await applyCa(
          this.#inputFor(readNodeIdentity(environment)),
          environment,
          this.options.certificates,
          context,
        );
      case "containerd restart": {
        const ca = readCaOutput(environment);
        return await restartContainerd(this.#inputFor(ca), ca, context);
      }
      default:
        throw nodeProblem.error(
          "unknown-command",
          { subject: `command "${words}"`, seen: "the running program does not know it" },
          "running",
        );
    }
  }
}
