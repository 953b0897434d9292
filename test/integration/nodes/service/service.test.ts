/** The node service where several programs start at once, each a process of its own. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { createInterface, type Interface } from "node:readline";
import { serviceFolder } from "../../../../nodes/service/serviceProtocol";
import { packageRoot } from "../../../../support/build";

const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";

/** One program; it answers each line with one line. */
class Program {
  readonly #lines: AsyncIterator<string>;
  readonly ended: Promise<unknown>;

  private constructor(private readonly child: ChildProcess) {
    const reader: Interface = createInterface(child.stdout!);
    this.#lines = reader[Symbol.asyncIterator]();
    this.ended = new Promise((resolve) => child.on("close", resolve));
  }

  static async start(home: string, cwd = packageRoot): Promise<Program> {
    const child = spawn(
      process.execPath,
      ["--import", require.resolve("tsx"), path.join(__dirname, "program.ts")],
      {
        cwd,
        env: { PATH: process.env["PATH"], PULUMI_HOME: home, TKC_REGISTRY_ID: id },
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    const program = new Program(child);
    assert.equal(await program.#answer(), "ready");
    return program;
  }

  async #answer(): Promise<string> {
    const { value } = (await this.#lines.next()) as { value: string | undefined };
    return value ?? "ended";
  }

  say(line: "start" | "stop"): Promise<string> {
    this.child.stdin!.write(`${line}\n`);
    return this.#answer();
  }

  /** It ends as a program does that has come to its end. */
  async end(): Promise<void> {
    this.child.stdin!.end();
    await this.ended;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

describe("the node service", () => {
  let home: string;
  const programs: Program[] = [];
  const folder = (): string => serviceFolder(id, { PULUMI_HOME: home });
  const start = async (count: number): Promise<Program[]> => {
    const more = await Promise.all(Array.from({ length: count }, () => Program.start(home)));
    programs.push(...more);
    return more;
  };
  before(() => {
    home = fs.mkdtempSync("/tmp/tkc-registry-service-");
  });
  after(() => fs.rmSync(home, { recursive: true }));
  afterEach(async () => {
    await Promise.all(programs.splice(0).map((program) => program.kill()));
    fs.rmSync(folder(), { recursive: true, force: true });
  });

  it("is run by one of the programs that start at once, and leaves nothing", async () => {
    const all = await start(6);
    for (let round = 0; round < 15; round += 1) {
      const answers = await Promise.all(all.map((program) => program.say("start")));
      assert.deepEqual(
        answers.filter((answer) => answer !== "service-running"),
        ["started"],
        `round ${round}: ${answers.join(", ")}`,
      );
      assert.deepEqual(fs.readdirSync(folder()).length, 3, fs.readdirSync(folder()).join(" "));
      await Promise.all(all.map((program) => program.say("stop")));
      assert.equal(fs.existsSync(folder()), false);
    }
  });

  it("is never run twice, however starts and ends fall together", async () => {
    const all = await start(4);
    let running = 0;
    let starts = 0;
    await Promise.all(
      all.map(async (program) => {
        for (let turn = 0; turn < 30; turn += 1) {
          const answer = await program.say("start");
          if (answer === "service-running") continue;
          assert.equal(answer, "started");
          running += 1;
          starts += 1;
          assert.equal(running, 1, "two programs serve");
          assert.ok(fs.existsSync(path.join(folder(), "socket")), "clients do not find it");
          running -= 1;
          await program.say("stop");
        }
      }),
    );
    assert.ok(starts > 0);
  });

  it("is not kept from starting by what a killed program left, nor by one that has ended", async () => {
    const [killed, ended, next] = (await start(3)) as [Program, Program, Program];
    assert.equal(await killed.say("start"), "started");
    await killed.kill();
    assert.equal(fs.existsSync(path.join(folder(), "client")), true);
    assert.equal(await ended.say("start"), "started");
    assert.equal(fs.readdirSync(folder()).length, 3);
    assert.equal(await next.say("start"), "service-running");
    await ended.end();
    assert.equal(fs.existsSync(folder()), false);
    assert.equal(await next.say("start"), "started");
  });

  it("refuses a path that is too long in bytes, and binds nothing anywhere", async () => {
    const outside = fs.mkdtempSync("/tmp/tkc-registry-service-");
    try {
      const long = path.join(outside, "é".repeat(30));
      const socket = path.join(serviceFolder(id, { PULUMI_HOME: long }), "s000000");
      assert.deepEqual([socket.length < 103, Buffer.byteLength(socket) > 104], [true, true]);
      const program = await Program.start(long, "/");
      programs.push(program);
      assert.equal(await program.say("start"), "service-folder");
      const all = fs.readdirSync(outside, { recursive: true, withFileTypes: true });
      assert.deepEqual(
        all.filter((entry) => !entry.isDirectory()),
        [],
      );
    } finally {
      fs.rmSync(outside, { recursive: true });
    }
  });
});
