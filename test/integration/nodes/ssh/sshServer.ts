/** A real OpenSSH server on loopback, with keys and settings of its own. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";

const sshd = "/usr/sbin/sshd";
/** Every sshd of the machine needs it at each login; a run of all tests removes it in the end, where there was none. */
export const sshdRunFolder = "/run/sshd";

/** Why there can be no such server here, or `false`. */
export function sshdImpossible(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  if (!fs.existsSync(sshd)) return "needs openssh-server's sshd";
  return false;
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
  /** As OpenSSH prints it. */
  readonly fingerprint: string;
}

function makeKey(file: string, type: string): KeyPair {
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", "", "-f", file]);
  const shown = execFileSync("ssh-keygen", ["-l", "-E", "sha256", "-f", file], { encoding: "utf8" });
  return {
    privateKey: fs.readFileSync(file, "utf8"),
    publicKey: fs.readFileSync(`${file}.pub`, "utf8"),
    fingerprint: shown.split(" ")[1]!,
  };
}

export interface SshServerOptions {
  /** Types of host keys. */
  readonly hostKeys?: readonly string[];
  /** Put before PATH of what is run. */
  readonly programs?: string;
  /** Further lines of sshd_config. */
  readonly settings?: readonly string[];
}

export class SshServer {
  #said = "";

  private constructor(
    readonly folder: string,
    readonly port: number,
    readonly client: KeyPair,
    readonly stranger: KeyPair,
    readonly hostKeys: Readonly<Record<string, KeyPair>>,
    private readonly process: ChildProcess,
  ) {}

  static async start({
    hostKeys = ["ed25519"],
    programs,
    settings = [],
  }: SshServerOptions = {}): Promise<SshServer> {
    const folder = fs.mkdtempSync(path.join(tmpdir(), "tkc-registry-sshd-"));
    fs.mkdirSync(sshdRunFolder, { recursive: true, mode: 0o755 });
    const client = makeKey(path.join(folder, "client"), "rsa");
    const stranger = makeKey(path.join(folder, "stranger"), "ed25519");
    const keys = Object.fromEntries(
      hostKeys.map((type) => [type, makeKey(path.join(folder, `host-${type}`), type)]),
    );
    fs.writeFileSync(path.join(folder, "authorized_keys"), client.publicKey);
    const port = await freePort();
    fs.writeFileSync(
      path.join(folder, "sshd_config"),
      [
        `Port ${port}`,
        "ListenAddress 127.0.0.1",
        ...hostKeys.map((type) => `HostKey ${path.join(folder, `host-${type}`)}`),
        `AuthorizedKeysFile ${path.join(folder, "authorized_keys")}`,
        "PermitRootLogin prohibit-password",
        "StrictModes no",
        "UsePAM no",
        "PidFile none",
        ...settings,
        ...(programs === undefined ? [] : [`SetEnv PATH=${programs}:/usr/sbin:/usr/bin:/sbin:/bin`]),
        "",
      ].join("\n"),
    );
    const child = spawn(sshd, ["-D", "-e", "-f", path.join(folder, "sshd_config")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const server = new SshServer(folder, port, client, stranger, keys, child);
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        server.#said += text;
        if (server.#said.includes("Server listening")) resolve();
      });
      child.on("exit", () => reject(new Error(`sshd ended: ${server.#said}`)));
    });
    return server;
  }

  /** How often a client was let in. */
  get logins(): number {
    return this.#count("Accepted publickey");
  }

  /** How many connections sshd dropped because too many were not logged in yet. */
  get drops(): number {
    return this.#count("drop connection") + this.#count("beginning MaxStartups");
  }

  #count(words: string): number {
    return this.#said.split(words).length - 1;
  }

  /** Ends all connections, as a restart of the machine would. */
  cutAll(): void {
    spawnSync("pkill", ["-KILL", "-P", String(this.process.pid)]);
  }

  async stop(): Promise<void> {
    this.cutAll();
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill();
    await ended;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
