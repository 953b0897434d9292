/** An SSH server at a node's address that is not the node: it lets everybody in, and notes what it is offered. */
import type { AddressInfo } from "node:net";
import { type AuthContext, Server, utils } from "ssh2";
import { fingerprint } from "../../../../nodes/ssh/hostKeys";

export class SshImpostor {
  /** `publickey`, `password s3cret`, `exec`: what clients offered, and wanted. */
  readonly offered: string[] = [];
  /** Connections, also those that offered nothing. */
  connections = 0;
  readonly fingerprint: string;
  readonly #server: Server;

  private constructor() {
    const { private: key, public: shown } = utils.generateKeyPairSync("ecdsa", { bits: 256 });
    this.fingerprint = fingerprint(Buffer.from(shown.split(" ")[1]!, "base64"));
    this.#server = new Server({ hostKeys: [key] }, (client) => {
      this.connections += 1;
      client.on("authentication", (context: AuthContext) => {
        if (context.method === "none") {
          context.reject(["publickey", "password", "keyboard-interactive"]);
          return;
        }
        this.offered.push(context.method === "password" ? `password ${context.password}` : context.method);
        context.accept();
      });
      client.on("session", (accept) => {
        accept().on("exec", (acceptExec) => {
          this.offered.push("exec");
          const channel = acceptExec();
          channel.exit(1);
          channel.end();
        });
      });
      client.on("error", () => undefined);
    });
  }

  static async start(): Promise<SshImpostor> {
    const impostor = new SshImpostor();
    await new Promise<void>((resolve) => impostor.#server.listen(0, "127.0.0.1", resolve));
    return impostor;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
