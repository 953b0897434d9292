/** That nothing of what others chose is ever taken for a shell's text, on the shells that are there. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { type IncomingMessage, createServer } from "node:http";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, describe, it } from "node:test";
import { text as textOf } from "node:stream/consumers";
import { promisify } from "node:util";
import fc from "fast-check";
import { removalCommand } from "../../../../plan/nodeCommand";
import { nodeVariables, trustModes, trustedCertificateSchema } from "../../../../nodes/protocol/spec";
import { type JumpboxAccess, throughJumpbox } from "../../../../nodes/routes/transport";
import { certificateFileName, nodeScript, remoteCommand, shellQuote } from "../../../../nodes/script/script";
import {
  parseCommand,
  separator,
  serviceCommand,
  serviceFolder,
} from "../../../../nodes/service/serviceProtocol";
import { parseRegistryHost } from "../../../../registry/host";
import { packageRoot } from "../../../../support/build";
import { batchOf, hostile, hostileArgument, readOrTold, runs } from "../../../fuzz";

const shells = ["dash", "bash"] as const;
const folder = fs.mkdtempSync(path.join(tmpdir(), "tkc-registry-shell-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
const mark = path.join(folder, "MARK");
const systemPath = process.env.PATH ?? "/usr/bin:/bin";

/** A program of this name that prints its arguments, each with a NUL at its end. */
function standIn(place: string, name: string, text = `printf '%s\\0' "$@"`): void {
  fs.mkdirSync(place, { recursive: true });
  fs.writeFileSync(path.join(place, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** A folder in which `sh` is this shell, and `sudo` what it is for root. */
function pathWith(shell: string): string {
  const place = path.join(folder, shell);
  standIn(place, "sudo", '[ "$1" = -n ] && shift && exec "$@"');
  fs.rmSync(path.join(place, "sh"), { force: true });
  fs.symlinkSync(path.join("/bin", shell), path.join(place, "sh"));
  return `${place}:${systemPath}`;
}

function assertUnmarked(what: string): void {
  assert.ok(!fs.existsSync(mark), `a shell has run what it was given: ${what}`);
}

const words = (output: string): string[] => output.split("\0").slice(0, -1);

it("the tests would see it if a shell took something for its own text", () => {
  spawnSync("sh", ["-c", "echo $(touch $MARK)"], { env: { PATH: systemPath, MARK: mark } });
  assert.throws(() => assertUnmarked(""), /a shell has run/);
  fs.rmSync(mark);
});

describe("a shell", () => {
  it("gets back every text that was quoted for it", () => {
    fc.assert(
      fc.property(batchOf(hostileArgument, 50), fc.constantFrom(...shells), (texts, shell) => {
        const line = `printf '%s\\0' ${texts.map(shellQuote).join(" ")}`;
        const { stdout } = spawnSync(shell, ["-c", line], {
          encoding: "utf8",
          env: { PATH: systemPath, MARK: mark },
        });
        assert.deepEqual(words(stdout), texts);
        assertUnmarked(line);
      }),
      runs("quoted words", 50),
    );
  });
});

/** What the script on nodes makes of its parameters, in place of what it does with them. */
const probe = `
fail() {
  # That this is another machine is no matter here.
  [ "$1" != wrong-node ] || return 0
  printf '%s\\0' refused "$1"
  exit
}
probe() {
  set -euf
  export LC_ALL=C
  newline='
'
  IFS=$newline
  result='' output=''
  read_parameters
  prove_identity
  printf '%s\\0' "$op" "$machine_id" "$node_name" "$owner" "$nonce" "$lock_wait" "$restart" "$trust" "$wanted"
}
probe
`;

/** The input of an operation, with the probe in the place of the script's last line. */
function probed(input: string): string {
  const { text, sha256 } = nodeScript();
  assert.ok(input.startsWith(`${sha256}\n`) && input.endsWith(`\n\n${text}`));
  assert.ok(text.endsWith("\nmain\n"));
  const other = text.slice(0, -"main\n".length) + probe;
  const head = input.slice(sha256.length, -text.length);
  return createHash("sha256").update(other).digest("hex") + head + other;
}

interface Operation {
  readonly machineId: string;
  readonly nodeName: string;
  readonly owner: string;
  readonly nonce: string;
  readonly trust: (typeof trustModes)[number];
  readonly lockWait: number;
  readonly certificates: readonly {
    readonly registry: string;
    readonly name: string;
    readonly der: Uint8Array;
  }[];
}

/** What the script sees of each operation: nothing where it was not even sent. */
function seenByScript(operations: readonly Operation[], shell: string): (string[] | undefined)[] {
  const place = fs.mkdtempSync(path.join(folder, "cases-"));
  let command = "";
  operations.forEach(({ certificates, ...rest }, index) => {
    const sent = readOrTold(() =>
      remoteCommand({
        op: "install",
        ...rest,
        certificates: certificates.map(({ registry, name, der }) => ({
          ...{ registry, name, der: Buffer.from(der) },
          sha256: createHash("sha256").update(der).digest("hex"),
        })),
      }),
    );
    if (!sent) return;
    command = sent.command;
    fs.writeFileSync(path.join(place, `${index}.in`), probed(sent.input));
  });
  const loop = `cd "$1" && for file in *.in; do [ -e "$file" ] || continue; ${shell} -c "$2" <"$file" >"\${file%.in}.out" 2>&1; done`;
  const { status, stderr } = spawnSync("sh", ["-c", loop, "loop", place, command], {
    ...{ encoding: "utf8", env: { PATH: pathWith(shell), MARK: mark, HOME: folder } },
  });
  assert.equal(stderr, "");
  assert.ok(status !== null);
  const seen = operations.map((_, index) => {
    const file = path.join(place, `${index}.out`);
    return fs.existsSync(file) ? words(fs.readFileSync(file, "utf8")) : undefined;
  });
  fs.rmSync(place, { recursive: true });
  return seen;
}

function expected({ machineId, nodeName, owner, nonce, trust, lockWait, certificates }: Operation): string[] {
  const lines = certificates.map(({ name, registry, der }) => {
    const digest = createHash("sha256").update(der).digest("hex");
    return `${name} ${digest} ${Buffer.from(der).toString("base64")} ${registry}\n`;
  });
  const encoded = Buffer.from(nodeName).toString("base64");
  // It is read only where there is no machine id.
  const name = machineId === "" ? nodeName : encoded;
  return [
    ...["install", machineId, name, owner, nonce, String(lockWait), "yes", trust],
    [...new Set(lines)].join(""),
  ];
}

describe("what a node is sent", () => {
  const common = { trust: fc.constantFrom(...trustModes), lockWait: fc.nat({ max: 1000 }) };
  const named = <T extends { registry: string; der: Uint8Array }>(each: T) => ({
    ...each,
    name: certificateFileName(each.registry, createHash("sha256").update(each.der).digest("hex")),
  });

  it("reaches the script to the byte, where it is what the program's own checks let pass", () => {
    const host = fc
      .oneof(
        fc.domain({ size: "small" }),
        fc.ipV4(),
        fc.ipV6().map((address) => `[${address}]`),
        hostile,
      )
      .chain((text) => fc.constantFrom(text, `${text}:443`, `${text}:8443`))
      .filter((text) => {
        try {
          return parseRegistryHost(text, { subject: "" }).host === text;
        } catch {
          return false;
        }
      });
    const operation: fc.Arbitrary<Operation> = fc.record({
      ...common,
      machineId: fc.stringMatching(/^([0-9a-f]{32})?$/),
      nodeName: fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,30}[a-z0-9])?$/),
      owner: fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,30}[A-Za-z0-9])?$/),
      nonce: fc.stringMatching(/^[0-9A-Za-z-]{1,64}$/),
      certificates: fc.array(fc.record({ registry: host, der: fc.uint8Array({ minLength: 1 }) }).map(named), {
        maxLength: 2,
      }),
    });
    fc.assert(
      fc.property(batchOf(operation, 20), fc.constantFrom(...shells), (operations, shell) => {
        assert.deepEqual(seenByScript(operations, shell), operations.map(expected));
        assertUnmarked(JSON.stringify(operations));
      }),
      runs("script parameters", 20),
    );
  });

  it("reaches it to the byte or not at all, whatever it is", () => {
    const operation: fc.Arbitrary<Operation> = fc.record({
      ...common,
      ...{ machineId: fc.oneof(fc.constant(""), hostile), nodeName: hostile, owner: hostile },
      nonce: fc.oneof({ weight: 3, arbitrary: fc.constantFrom("", "n-1") }, hostile),
      certificates: fc.array(
        fc
          .record({
            registry: fc.oneof(fc.constant("registry.example:5000"), hostile),
            der: fc.uint8Array({ minLength: 1, maxLength: 8 }),
            other: fc.option(hostile),
          })
          .map(({ other, ...each }) => ({
            ...named(each),
            ...(other === null ? {} : { name: `tkc-registry-${other}` }),
          })),
        { maxLength: 2 },
      ),
    });
    fc.assert(
      fc.property(batchOf(operation, 20), fc.constantFrom(...shells), (operations, shell) => {
        seenByScript(operations, shell).forEach((seen, index) => {
          if (seen === undefined || seen[0] === "refused") return;
          const wanted = expected(operations[index]!).map((text) => Buffer.from(text).toString("utf8"));
          assert.deepEqual(seen, wanted);
          for (const { registry } of operations[index]!.certificates)
            assert.ok(trustedCertificateSchema.shape.registry.safeParse(registry).success, registry);
        });
        assertUnmarked(JSON.stringify(operations));
      }),
      runs("script parameters, raw", 20),
    );
  });
});

describe("the command lines of the stack's resources", () => {
  /** A name of a folder. */
  const folderName = hostileArgument
    .map((text) => Buffer.from(text.replaceAll("/", "")).subarray(0, 60).toString("utf8"))
    .filter((text) => !["", ".", ".."].includes(text));

  it("are words to a shell, whatever the stack and Pulumi's folder are called", () => {
    const place = path.join(folder, "line");
    standIn(place, "node");
    const removal = fc.record({
      unreachable: fc.constantFrom("fail" as const, "skip" as const),
      restart: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.uuid(),
        folderName,
        fc.boolean(),
        removal,
        fc.constantFrom("remove" as const, "sweep" as const),
        (id, name, ownHome, args, verb) => {
          const home = path.join(folder, name);
          const env = {
            PATH: `${place}:${systemPath}`,
            MARK: mark,
            HOME: home,
            TKC_REGISTRY_ID: id,
            ...(ownHome ? { PULUMI_HOME: path.join(home, "p") } : {}),
          };
          const client = serviceFolder(id, env);
          standIn(client, "client", `printf '%s\\0' "$0" "$@"`);
          const run = (line: string): string[] =>
            words(spawnSync("/bin/sh", ["-c", line], { encoding: "utf8", env }).stdout);
          assert.deepEqual(run(serviceCommand("ca apply")), [path.join(client, "client"), "ca", "apply"]);
          fs.rmSync(home, { recursive: true });
          assert.deepEqual(run(removalCommand(verb, args)), [
            ...["-e", "require('tkc-registry/run')", "v1", "ca", verb],
            ...(args.unreachable === "skip" ? ["--unreachable", "skip"] : []),
            ...(args.restart ? [] : ["--no-restart"]),
          ]);
          assertUnmarked(JSON.stringify([id, name]));
        },
      ),
      runs("command lines"),
    );
  });

  it("hand every value of their environment over to the byte", async () => {
    const place = path.join(folder, "client");
    fs.mkdirSync(place);
    fs.copyFileSync(path.join(packageRoot, "nodes", "script", "client.sh"), path.join(place, "client"));
    fs.chmodSync(path.join(place, "client"), 0o755);
    let received: ReturnType<typeof parseCommand> | undefined;
    const server = createServer((request: IncomingMessage, response) => {
      void textOf(request).then((body) => {
        received = parseCommand(request.url ?? "", body);
        response.end(`told\n${separator}printed`);
      });
    });
    await new Promise<void>((resolve) => server.listen(path.join(place, "socket"), resolve));
    const values = fc.dictionary(
      fc.constantFrom(...nodeVariables),
      hostileArgument.filter((text) => text !== ""),
      { maxKeys: 6, noNullPrototype: true },
    );
    try {
      await fc.assert(
        fc.asyncProperty(values, fc.constantFrom(...shells), async (environment, shell) => {
          const env = { PATH: systemPath, MARK: mark, ...environment };
          const { stdout, stderr } = await promisify(execFile)(
            shell,
            [path.join(place, "client"), "ca", "apply"],
            { env },
          );
          assert.deepEqual([stdout, stderr], ["printed", "told\n"]);
          assert.equal(received?.words, "ca apply");
          for (const name of nodeVariables) assert.equal(received.environment[name], environment[name]);
          assertUnmarked(JSON.stringify(environment));
        }),
        runs("client values"),
      );
    } finally {
      server.close();
    }
  });
});

describe("the relay", () => {
  const access: JumpboxAccess = { kind: "jumpbox", context: "c", namespace: "n", pod: "p", container: "u" };
  const address = fc.oneof(fc.ipV4(), fc.ipV6(), hostileArgument);

  it("connects to an address as it is, or not at all, with each of the tools that a pod may have", async () => {
    for (const tool of ["bash", "nc", "socat"]) {
      const place = path.join(folder, `with-${tool}`);
      standIn(
        place,
        tool,
        tool === "nc" ? `[ "$1" != -h ] || { echo ' -q seconds'; exit; }\nprintf '%s\\0' "$@"` : undefined,
      );
    }
    let sent: readonly string[] = [];
    const transport = throughJumpbox(access, (command) => {
      sent = command;
      return Promise.reject(new Error("that is all"));
    });
    await fc.assert(
      fc.asyncProperty(
        address,
        fc.integer({ min: 1, max: 65535 }),
        fc.constantFrom(...shells),
        fc.constantFrom("bash", "nc", "socat"),
        async (where, port, shell, tool) => {
          await transport.connect(where, port, 15_000).catch(() => undefined);
          assert.equal(sent[0], "sh");
          const { stdout, status } = spawnSync(path.join("/bin", shell), sent.slice(1), {
            ...{ encoding: "utf8", env: { PATH: path.join(folder, `with-${tool}`), MARK: mark } },
          });
          assertUnmarked(where);
          if (!/^[0-9A-Za-z.:][0-9A-Za-z.:-]*$/.test(where)) {
            assert.deepEqual([stdout, status], ["", 64]);
            return;
          }
          const bracketed = where.includes(":") ? `[${where}]` : where;
          assert.deepEqual(
            words(stdout),
            {
              bash: ["-c", sent.at(-1)!, "relay", where, String(port), "13"],
              nc: ["-v", "-q", "0", where, String(port)],
              socat: ["-", `TCP:${bracketed}:${port},connect-timeout=13`],
            }[tool],
          );
        },
      ),
      runs("relay"),
    );
  });
});
