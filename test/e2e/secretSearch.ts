/** Looks for secrets in what programs leave behind, in each form in which programs write them down. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { gunzipSync, constants as zlib } from "node:zlib";
import { exec } from "../../lab/exec";
import * as lab from "../../lab/lab";

/** A secret as people know it. */
export interface Secret {
  /** For messages. */
  readonly name: string;
  readonly value: string;
}

/** A secret that was found. */
export interface Finding {
  /** Name of the secret. */
  readonly secret: string;
  /** How it was written: `clear`, `base64 of clear`. */
  readonly form: string;
  /** Where: a file, or what the text was called. */
  readonly place: string;
  /** The line that it is in, up to it. */
  readonly before: string;
}

type Form = readonly [name: string, text: string];

const json = (text: string): string => JSON.stringify(text).slice(1, -1);
const escaped = (text: string, pattern: RegExp): string =>
  text.replace(pattern, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
const percent = (text: string): string => encodeURIComponent(text);

/** The part of a base64 text that does not depend on what stands around the bytes, of which there are `offset` before. */
function base64Within(bytes: Buffer, offset: number, encoding: "base64" | "base64url"): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString(encoding);
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
}

function base64(text: string): Form[] {
  const bytes = Buffer.from(text);
  return (["base64", "base64url"] as const).flatMap((encoding) =>
    [0, 1, 2].map((offset): Form => [encoding, base64Within(bytes, offset, encoding)]),
  );
}

/** Every text that a secret may be found as, whatever is before and after it. */
function formsOf(value: string): Map<string, string> {
  const plain: Form[] = [
    ["clear", value],
    ["JSON", json(value)],
    ["JSON of Go", escaped(json(value), /[<>&]/g)],
    ["JSON of ASCII", escaped(json(value), /[^\x20-\x7e]/g)],
  ];
  const all: Form[] = [
    ...plain,
    ...plain.map(([name, text]): Form => [`JSON in ${name}`, json(text)]),
    ["percent", percent(value)],
    ["percent", percent(value).replace(/%../g, (code) => code.toLowerCase())],
    ["percent of a form", new URLSearchParams({ "": value }).toString().slice(1)],
    ["hexadecimal", Buffer.from(value).toString("hex")],
    ...plain.flatMap(([name, text]) =>
      base64(text).map(([encoding, coded]): Form => [`${encoding} of ${name}`, coded]),
    ),
    // docker's `auth` in the data of a Kubernetes Secret.
    ...base64(value).flatMap(([encoding, coded]) =>
      base64(coded).map(([outer, twice]): Form => [`${outer} of ${encoding}`, twice]),
    ),
  ];
  const forms = new Map<string, string>();
  for (const [name, text] of all) if (!forms.has(text)) forms.set(text, name);
  return forms;
}

/** A secret that is shorter, in whatever form, would be found by chance. */
const shortest = 12;

/** Searches with GNU grep, as there are thousands of forms and hundreds of megabytes. Names the secrets, never shows them. */
export class SecretSearch {
  /** What each text is that is searched for. */
  readonly #forms = new Map<string, { readonly secret: string; readonly form: string }>();
  readonly #folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-search-"));
  /** Written once, as several searches may go on at the same time. */
  readonly #patterns = path.join(this.#folder, "patterns");

  constructor(secrets: readonly Secret[]) {
    for (const { name, value } of secrets) {
      for (const [text, form] of formsOf(value)) {
        assert.ok(text.length >= shortest && !text.includes("\n"), `${name} cannot be searched for`);
        if (!this.#forms.has(text)) this.#forms.set(text, { secret: name, form });
      }
    }
    writeFileSync(this.#patterns, [...this.#forms.keys(), ""].join("\n"), { mode: 0o600 });
  }

  /** Forgets the secrets. */
  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** Searches texts, each under the name of its place. */
  async texts(places: Readonly<Record<string, string | Buffer>>): Promise<readonly Finding[]> {
    const folder = mkdtempSync(path.join(this.#folder, "texts-"));
    try {
      const names = Object.keys(places);
      names.forEach((name, index) => writeFileSync(path.join(folder, String(index)), places[name]!));
      const found = await this.#grep(folder);
      return found.map((each) => ({ ...each, place: names[Number(path.basename(each.place))]! }));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Searches files, and folders with all that is in them; what gzip packed is looked into. */
  async files(...places: readonly string[]): Promise<readonly Finding[]> {
    if (places.length === 0) return [];
    const packed = Object.fromEntries(
      places.flatMap(filesBelow).flatMap((file) => {
        const content = contentOf(file);
        return content !== undefined && isGzip(content) ? [[file, unpacked(content)]] : [];
      }),
    );
    return [...(await this.#grep(...places)), ...(await this.texts(packed))];
  }

  async #grep(...places: readonly string[]): Promise<Finding[]> {
    const { code, stdout, stderr } = await exec(
      "grep",
      [...grepOptions, "-r", "-f", this.#patterns, "--", ...places],
      {
        env: { ...process.env, LC_ALL: "C" },
        allowFailure: true,
      },
    );
    // Stacks of other tests are at work beside: their temporary files may go while they are searched.
    const complaints = stderr.split("\n").filter((line) => !/^$|: No such file or directory$/.test(line));
    assert.ok(code <= 1 || complaints.length === 0, stderr);
    const contents = new Map<string, Buffer>();
    return this.#read(stdout).map(({ secret, form, place, offset, text }) => {
      const content = contents.get(place) ?? readFileSync(place);
      contents.set(place, content);
      return { secret, form, place, before: contextOf(content, offset, text) };
    });
  }

  /**
   * Searches a node: all files on its disk that are not of its image, and those that it holds in memory (`/run`, `/tmp`).
   *
   * @param except - Folders that are left out.
   */
  async node(name: string, except: readonly string[] = []): Promise<readonly Finding[]> {
    // No program can set the time of a file's last change of state, as it can that of its content.
    const script = `
      set -eu
      umask 077
      patterns=$(mktemp -p /dev/shm)
      trap 'rm -f "$patterns"' EXIT
      cat >"$patterns"
      for folder; do set -- "$@" ! -path "$folder/*"; shift; done
      find / /var/lib/containerd /run /tmp -xdev -type f -cnewer /etc/machine-id "$@" -print0 >/dev/shm/files
      LC_ALL=C xargs -0 -r grep ${grepOptions.join(" ")} -s -f "$patterns" -- </dev/shm/files || [ $? = 123 ]
      rm /dev/shm/files`;
    const patterns = readFileSync(this.#patterns, "utf8");
    const stdout = await lab.nodeExec(name, ["sh", "-c", script, "sh", ...except], patterns);
    return this.#read(stdout).map(({ secret, form, place }) => ({
      secret,
      form,
      place: `${name}:${place}`,
      before: "",
    }));
  }

  #read(stdout: string): (Finding & { readonly offset: number; readonly text: string })[] {
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [, place = "", offset = "", text = ""] = /^([^\0]*)\0(\d+):(.*)$/.exec(line) ?? [];
        const found = this.#forms.get(text);
        assert.ok(found, "grep answered with something else than what it was asked for");
        return { ...found, place, offset: Number(offset), text, before: "" };
      });
  }
}

/** Texts as they are, in binary files too; of each match its file, a zero byte, its place and the match. */
const grepOptions = ["-F", "-a", "-o", "-b", "-H", "-Z", "-D", "skip"];

/** The beginning of a match's line, and what stands right before the match. */
function contextOf(content: Buffer, offset: number, text: string): string {
  const line = content.subarray(content.lastIndexOf("\n", offset) + 1, offset).toString();
  const shown = line.length > 500 ? `${line.slice(0, 400)} … ${line.slice(-100)}` : line;
  return shown.replaceAll(text, "[secret]").replace(/[A-Za-z0-9+/_-]{80,}/g, "[…]"); // another secret may be before it;
}

export const isGzip = (content: Buffer): boolean => content[0] === 0x1f && content[1] === 0x8b;

/** Unpacks what gzip packed, as far as it goes: the end may not be written yet. */
export function unpacked(content: Buffer): Buffer {
  return gunzipSync(content, { finishFlush: zlib.Z_SYNC_FLUSH });
}

/** What is in a file, or undefined where it has gone meanwhile. */
function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function filesBelow(place: string): string[] {
  if (!statSync(place).isDirectory()) return [place];
  const entries = readdirSync(place, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** For messages: what was found where, each once. */
export function describeSecrets(findings: readonly Finding[]): string {
  const lines = findings.map(
    ({ secret, form, place, before }) =>
      `${secret} (${form}) in ${place}${before === "" ? "" : `, after: ${before}`}`,
  );
  const unique = [...new Set(lines)];
  return [...unique.slice(0, 30), ...(unique.length > 30 ? [`and ${unique.length - 30} more`] : [])].join(
    "\n",
  );
}
