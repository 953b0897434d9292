/** An API server's `exec` stream, as far as a relay needs it: runs what it is given here, with the real shell. */
import { type ChildProcess, spawn } from "node:child_process";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import type { KubeContext } from "../../../../kubernetes/client";

export class PodServer {
  readonly #sockets: WebSocketServer;
  readonly relays = new Set<ChildProcess>();
  /** How often a stream was opened. */
  streams = 0;
  /** The status and body with which the next streams are refused. */
  refusal: { readonly status: number; readonly body: string } | undefined;
  /** The folders in which the pod finds programs. Default: this process's. */
  path: string | undefined;

  /** Where addresses lead to from the pod. */
  readonly addresses = new Map<string, string>();

  /** @param server - What its streams are of. */
  constructor(readonly server: Server) {
    this.#sockets = new WebSocketServer({ server, verifyClient: () => this.refusal === undefined });
    server.prependListener("upgrade", (_request, socket) => {
      if (!this.refusal) return;
      const { status, body } = this.refusal;
      socket.end(
        `HTTP/1.1 ${status} No\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
      );
    });
    this.#sockets.on("connection", (socket, { url }) => this.#exec(socket, new URL(url!, "http://pod")));
  }

  static async start(): Promise<PodServer> {
    const pod = new PodServer(createServer());
    await new Promise<void>((resolve) => pod.server.listen(0, "127.0.0.1", resolve));
    return pod;
  }

  #exec(socket: WebSocket, { searchParams }: URL): void {
    const [program = "", ...words] = searchParams.getAll("command");
    const args = words.map((word) => this.addresses.get(word) ?? word);
    const child = spawn(program, args, { env: { PATH: this.path ?? process.env.PATH }, stdio: "pipe" });
    this.relays.add(child);
    this.streams += 1;
    const send = (channel: number) => (data: Buffer) =>
      socket.send(Buffer.concat([Buffer.of(channel), data]), () => undefined);
    child.stdout.on("data", send(1));
    child.stderr.on("data", send(2));
    child.stdin.on("error", () => undefined);
    socket.on("message", (message: Buffer) => {
      if (message[0] === 0) child.stdin.write(message.subarray(1));
      else if (message[0] === 255) child.stdin.end();
    });
    socket.on("close", () => child.stdin.end());
    socket.on("error", () => undefined);
    child.on("close", (code) => {
      this.relays.delete(child);
      const message = `command terminated with non-zero exit code: exit status ${code}`;
      const status =
        code === 0 ? { status: "Success" } : { status: "Failure", reason: "NonZeroExitCode", message };
      send(3)(Buffer.from(JSON.stringify(status)));
      socket.close();
    });
  }

  /** Cuts all streams, as a pod does that is deleted. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  get context(): KubeContext {
    const { port } = this.server.address() as AddressInfo;
    const known: Partial<KubeContext> = {
      name: "ns1",
      server: `http://127.0.0.1:${port}`,
      connectionOptions: () => Promise.resolve({}),
    };
    return known as KubeContext;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#sockets.close();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
