/**
 * A `kubectl` on PATH: answers `get` from files, and runs what `exec` is given here, with the real shell. The variable
 * POD_ADDRESSES, `address=address …`, says where addresses lead to from the pod.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";

const program = (folder: string): string => `#!/bin/sh
folder='${folder}'
printf '%s\\n' "$*" >>"$folder/calls"
verb=
for word in "$@"; do
  case $word in get | exec) verb=$word && break ;; esac
done
context=
[ "$1" != --context ] || context=$2
for error in "$folder/error" "$folder/error-$context"; do
  if [ -e "$error" ]; then
    cat "$error" >&2
    exit 1
  fi
done
while [ "$1" != "$verb" ]; do shift; done
if [ "$verb" = get ]; then
  if [ ! -e "$folder/$2-$3.json" ]; then
    echo "Error from server (NotFound): $2s \\"$3\\" not found" >&2
    exit 1
  fi
  cat "$folder/$2-$3.json"
  exit
fi
while [ "$1" != -- ]; do shift; done
shift
for pair in \${POD_ADDRESSES-}; do
  count=$#
  while [ "$count" -gt 0 ]; do
    word=$1
    shift
    [ "$word" != "\${pair%=*}" ] || word=\${pair#*=}
    set -- "$@" "$word"
    count=$((count - 1))
  done
done
PATH=\${POD_PATH-$PATH}
echo $$ >>"$folder/relays"
exec "$@"
`;

export class FakeKubectl {
  readonly folder = fs.mkdtempSync(path.join(tmpdir(), "tkc-registry-kubectl-"));
  readonly #path = process.env.PATH ?? "";

  constructor() {
    fs.writeFileSync(path.join(this.folder, "kubectl"), program(this.folder), { mode: 0o755 });
    process.env.PATH = `${this.folder}:${this.#path}`;
  }

  /** Makes `get KIND NAME` answer with an object. */
  object(kind: string, name: string, object: unknown): void {
    fs.writeFileSync(path.join(this.folder, `${kind}-${name}.json`), JSON.stringify(object));
  }

  secret(name: string, data: Record<string, string>): void {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
    this.object("secret", name, { data: Object.fromEntries(encoded) as unknown });
  }

  forget(kind: string, name: string): void {
    fs.rmSync(path.join(this.folder, `${kind}-${name}.json`), { force: true });
  }

  /** Makes every call, or those of one context, fail with this text on stderr, or work again. */
  fail(text: string | undefined, context?: string): void {
    const file = path.join(this.folder, context === undefined ? "error" : `error-${context}`);
    if (text === undefined) fs.rmSync(file, { force: true });
    else fs.writeFileSync(file, `${text}\n`);
  }

  /** The arguments of all calls so far, a line each. */
  get calls(): string {
    const file = path.join(this.folder, "calls");
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  }

  /** The processes of relays that are still there. */
  get relays(): number[] {
    const file = path.join(this.folder, "relays");
    if (!fs.existsSync(file)) return [];
    const pids = fs.readFileSync(file, "utf8").trim().split("\n").map(Number);
    return fs
      .readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => {
        try {
          const group = fs
            .readFileSync(`/proc/${name}/stat`, "utf8")
            .replace(/^.*\) /s, "")
            .split(" ");
          return pids.includes(Number(name)) || pids.includes(Number(group[1]));
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  remove(): void {
    process.env.PATH = this.#path;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
