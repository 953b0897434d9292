/** A TLS server on loopback for tests, with a record of what it was sent. */
import * as https from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { Identity } from "../certificates/pki";

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export type Handler = (request: Received, response: ServerResponse) => void;

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly received: Received[];
  /** How many connections there are. */
  readonly connections: number;
}

/** Starts a server that serves `chain` (its own certificate first) and answers by `handle`. */
export async function startServer(
  identity: Identity,
  handle: Handler,
  chain: readonly Identity[] = [],
  options: SecureContextOptions = {},
  at = 0,
): Promise<TestServer> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const entry = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(chunks).toString("utf8"),
    };
    received.push(entry);
    handle(entry, response);
  };
  const server = https.createServer(
    { ...options, key: identity.key, cert: [identity, ...chain].map(({ cert }) => cert).join("\n") },
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  );
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => {}); // clients that hang up on a certificate are what some tests are about
  await new Promise<void>((resolve) => server.listen(at, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    host: `127.0.0.1:${port}`,
    received,
    get connections() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A port of loopback on which nothing listens. */
export async function unusedPort(identity: Identity): Promise<number> {
  const server = await startServer(identity, (_, response) => response.end());
  await server[Symbol.asyncDispose]();
  return server.port;
}

/** Asserts with `assert.rejects`: a UserError whose first problem has this code, and whose text matches all of these. */
export function problem(code: string, ...patterns: readonly RegExp[]): (error: unknown) => boolean {
  return (error) => {
    const { problems, message } = error as { problems?: readonly { code: string }[]; message: string };
    if (problems?.[0]?.code !== code) throw new Error(`expected the problem ${code}, got: ${message}`);
    for (const pattern of patterns) {
      if (!pattern.test(message)) throw new Error(`expected ${String(pattern)} in: ${message}`);
    }
    return true;
  };
}
