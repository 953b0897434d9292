/** A proxy on loopback that connects by CONNECT, or refuses to. */
import { type AddressInfo, type Socket, connect, createServer } from "node:net";

export interface TestProxy extends AsyncDisposable {
  readonly port: number;
  /** The first line of each request, and its login where there was one. */
  readonly asked: string[];
}

/**
 * @param status - Its answer.
 * @param upstream - The port of loopback that it connects to whatever it is asked for, where the answer is 200.
 */
export async function startProxy(status: number, upstream = 0): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", (data) => {
      const [line = "", ...headers] = data.toString("latin1").split("\r\n");
      const login = headers.find((header) => /^proxy-authorization: basic /i.test(header))?.split(" ")[2];
      asked.push(login === undefined ? line : `${line} as ${Buffer.from(login, "base64").toString()}`);
      socket.write(`HTTP/1.1 ${status} as the test says\r\n\r\n`);
      if (status !== 200) {
        socket.end();
        return;
      }
      const onward = connect(upstream, "127.0.0.1");
      sockets.add(onward);
      onward.on("error", () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
