/** What programs do while a command runs: each one's arguments and environment, and what they write into files. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, type ExecResult, exec } from "../../lab/exec";

/** A program as it was started. */
export interface StartedProcess {
  readonly argv: readonly string[];
  /** `NAME=value` */
  readonly env: readonly string[];
}

/** A command that has ended, and what was seen meanwhile. */
export interface Trace extends ExecResult {
  readonly processes: readonly StartedProcess[];
  /** What was written into each file, also into those that are gone; only where tracing is allowed. */
  readonly written: ReadonlyMap<string, Buffer>;
  /** Files that were made or changed, and are there. */
  readonly left: readonly string[];
}

/** Why processes can't be traced here, or undefined where they can. */
export async function tracingObstacle(): Promise<string | undefined> {
  try {
    await exec("strace", ["-f", "-o", "/dev/null", "true"]);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Longer than any argument may be on Linux (`MAX_ARG_STRLEN`: 128 KiB), and than anything that is written at once. */
const longest = 16 * 1024 * 1024;
/** `mmap` and `sendfile` aren't seen: what they write is read from the files that are left. */
const calls =
  "execve,execveat,write,pwrite64,writev,pwritev,pwritev2,open,openat,creat,rename,renameat,renameat2";

/** Runs a command with strace on it and all that it starts. */
export async function traced({ argv, cwd, env }: Required<Client>): Promise<Trace> {
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-trace-"));
  const file = path.join(folder, "trace");
  const options = ["-f", "-q", "-v", "-y", "-s", String(longest), "--seccomp-bpf", "-e", "signal=none"];
  try {
    const result = await exec("strace", [...options, "-e", `trace=${calls}`, "-o", file, "--", ...argv], {
      cwd,
      env,
      allowFailure: true,
      timeout: 1800,
    });
    return { ...result, ...readTrace(readFileSync(file, "latin1"), cwd) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const cString = /"((?:[^"\\]|\\.)*)"(\.\.\.)?/g;
const controls: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", v: "\v", f: "\f" };

/** Undoes C's escapes; the text is of bytes. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{1,3}|.)/g, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(parseInt(code, 8)) : (controls[code] ?? code),
  );
const toBuffer = (bytes: string): Buffer => Buffer.from(bytes, "latin1");

/** The strings of a call, by the array that they are in: those before the first one, those of the first one, … */
function stringsOf(call: string): string[][] {
  const groups: string[][] = [[]];
  let end = 0;
  for (const match of call.matchAll(cString)) {
    if (match[2] !== undefined) throw new Error("strace cut a string off");
    if (call.slice(end, match.index).includes("[")) groups.push([]);
    groups.at(-1)!.push(unescape(match[1]!));
    end = match.index + match[0].length;
  }
  return groups;
}

/** Reads strace's lines. A call that another process came between has its arguments in the line of its beginning. */
function readTrace(text: string, cwd: string): Pick<Trace, "processes" | "written" | "left"> {
  const processes: StartedProcess[] = [];
  const written = new Map<string, Buffer[]>();
  const made = new Set<string>();
  for (const line of text.split("\n")) {
    const [, name = "", call = ""] = /^\d+ +(\w+)\((.*)$/.exec(line) ?? [];
    if (name.startsWith("execve")) {
      const [argv = [], env = []] = stringsOf(call)
        .slice(1)
        .map((group) => group.map((each) => toBuffer(each).toString()));
      processes.push({ argv, env });
    } else if (name.includes("write")) {
      const [, file] = /^\d+<(\/[^>]*)>/.exec(call) ?? [];
      if (file === undefined || file.startsWith("/dev/")) continue;
      const parts = written.get(file) ?? [];
      written.set(file, parts);
      parts.push(toBuffer(stringsOf(call).flat().join("")));
    } else if (name === "creat" || name.startsWith("rename") || call.includes("O_CREAT")) {
      const folder = [...call.matchAll(/(?:AT_FDCWD|\d+)<(\/[^>]*)>/g)].at(-1)?.[1] ?? cwd;
      const last = stringsOf(call).flat().at(-1);
      if (last !== undefined) made.add(path.resolve(folder, toBuffer(last).toString()));
    }
  }
  return {
    processes,
    written: new Map([...written].map(([file, parts]) => [file, Buffer.concat(parts)])),
    left: [...new Set([...made, ...written.keys()])].filter(
      (file) => existsSync(file) && statSync(file).isFile() && !/^\/(?:dev|proc|sys)\//.test(file),
    ),
  };
}

const marker = "TKC_REGISTRY_SAMPLED";
const interval = 5;

/** The same where tracing isn't allowed: looks at the processes that there are, again and again, and misses short ones. */
export async function sampled({ argv, cwd, env }: Required<Client>): Promise<Trace> {
  const mark = `${marker}=${randomUUID()}`;
  const seen = new Map<string, StartedProcess>();
  const [program, ...args] = argv;
  const ended = new AbortController();
  const sampling = (async () => {
    while (!ended.signal.aborted) {
      for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
        try {
          const list = (name: string): string[] =>
            readFileSync(`/proc/${pid}/${name}`, "utf8").split("\0").slice(0, -1);
          const environment = list("environ");
          const process = { argv: list("cmdline"), env: environment.filter((each) => each !== mark) };
          if (environment.includes(mark)) seen.set(`${pid} ${process.argv.join("\0")}`, process);
        } catch {
          // It has ended.
        }
      }
      await sleep(interval);
    }
  })();
  const [name = "", value = ""] = mark.split("=");
  const result = await exec(program, args, {
    cwd,
    env: { ...env, [name]: value },
    allowFailure: true,
    timeout: 1800,
  }).finally(() => ended.abort());
  await sampling;
  return { ...result, processes: [...seen.values()], written: new Map(), left: [] };
}
