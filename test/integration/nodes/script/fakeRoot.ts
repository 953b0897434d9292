/**
 * A node's file system in a folder: its own trust store, state and `systemctl`, everything else the machine's. What
 * runs in it runs with the real shell, the real OpenSSL and the real `update-ca-certificates`, in a mount namespace
 * that ends with it.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { parseScriptOutput } from "../../../../nodes/protocol/report";
import {
  type NodeCertificate,
  type NodeOperation,
  certificateFileName,
  remoteCommand,
} from "../../../../nodes/script/script";

/** Why such roots cannot be made here, or `false`. */
export function fakeRootsImpossible(): string | false {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux";
  if (spawnSync("unshare", ["-m", "true"]).status !== 0) return "needs `unshare -m`";
  if (!fs.lstatSync("/bin").isSymbolicLink()) return "needs a merged /usr";
  for (const tool of [
    "/usr/sbin/update-ca-certificates",
    "/usr/bin/openssl",
    "/usr/bin/bash",
    "/usr/bin/dash",
  ]) {
    if (!fs.existsSync(tool)) return `needs ${tool}`;
  }
  return false;
}

export interface Certificate {
  readonly pem: string;
  readonly der: Buffer;
  readonly sha256: string;
}

export function makeCertificate(name: string): Certificate {
  const pem = execFileSync(
    "openssl",
    [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout /dev/null -subj".split(
        " ",
      ),
      `/CN=${name}`,
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  return { pem, der, sha256: createHash("sha256").update(der).digest("hex") };
}

/** A certificate for a registry, as the node script is given it. */
export function file({ sha256, der }: Certificate, registry = "harbor.example"): NodeCertificate {
  return { name: certificateFileName(registry, sha256), registry, sha256, der };
}

export type Family = "photon" | "debian" | "rhel";
export type Shell = "dash" | "bash";

const fakeSystemctl = `#!/bin/sh
start() {
  [ ! -e /lab/broken ] || exit 1
  setsid sleep 3600 </dev/null >/dev/null 2>&1 &
  echo $! >/lab/pid
  date -u '+ExecMainStartTimestamp=%a %Y-%m-%d %H:%M:%S UTC' >/lab/started
}
case $1 in
  start) start ;;
  restart)
    echo restart >>/lab/restarts
    kill "$(cat /lab/pid)"
    start
    ;;
  is-active) kill -0 "$(cat /lab/pid)" && echo active ;;
  show)
    if [ -e /lab/no-unit ]; then
      echo LoadState=not-found
      exit
    fi
    echo LoadState=loaded
    echo "MainPID=$(cat /lab/pid)"
    echo "ExecStart={ path=/usr/bin/containerd ; argv[]=$(cat /lab/command 2>/dev/null || echo /usr/bin/containerd) ; ignore_errors=no }"
    cat /lab/started
    ;;
esac
`;

/** As Photon's: noisy, links by OpenSSL, and puts files end to end. */
const fakeRehash = `#!/bin/sh
echo rehash >>/lab/rehashes
touch /lab/rehashing
while [ -e /lab/hold ]; do sleep 0.05; done
if [ -e /lab/dead ]; then
  touch /lab/died
  exit 1
fi
openssl rehash -v /etc/ssl/certs
cat /etc/ssl/certs/*.pem >/etc/pki/tls/certs/ca-bundle.crt
`;

/** Says what `lab/containerd.toml` says. */
const fakeContainerd = `#!/bin/sh
file=/lab/containerd.toml
case $1 in --config=*) file=\${1#*=} && shift ;; esac
[ "$*" = "config dump" ] || exit 64
echo dump >>/lab/dumps
echo 'time="2026-01-01T00:00:00Z" level=warning msg="[a warning]"' >&2
exec cat "$file"
`;

/** What `containerd config dump` prints, as far as it matters. */
export function containerdConfig(version: 2 | 3, configPath: string): string {
  const [quote, table] =
    version === 2 ? ['"', "io.containerd.grpc.v1.cri"] : ["'", "io.containerd.cri.v1.images"];
  const quoted = (text: string): string => quote + text + quote;
  return `disabled_plugins = []
version = ${version}

[plugins]
  [plugins.${quoted("io.containerd.cri.v1.runtime")}.cni]
    config_path = ${quoted("/etc/cni/certs.d")}
  [plugins.${quoted(table)}]
    config_path = ${quoted("/etc/other/certs.d")}
    [plugins.${quoted(table)}.registry]
      config_path = ${quoted(configPath)}
      [plugins.${quoted(table)}.registry.headers]
        config_path = ${quoted("/etc/headers/certs.d")}
  [plugins.${quoted("io.containerd.transfer.v1.local")}]
    config_path = ${quoted("/etc/transfer/certs.d")}
`;
}

/** As the journal keeps it. */
const fakeLogger = `#!/bin/sh
while [ "$1" != -- ]; do
  printf '%s ' "$1" >>/lab/logger-options
  shift
done
shift
printf '%s\\n' "$*" >>/lab/journal
`;

/** A root of each kind as it is made, for to copy one costs less than to make one. */
const templates = new Map<string, string>();
process.on("exit", () => {
  for (const folder of templates.values()) fs.rmSync(folder, { recursive: true, force: true });
});

/**
 * As the update-ca-trust of Fedora's ca-certificates, by what p11-kit 0.24.1 was seen to do: takes every file of the
 * anchors, names that begin with a dot included; leaves out files that are torn and certificates that are no CA's; writes
 * each certificate once, under its name in a comment; puts a file for each into directory-hash, with two hash links; all
 * of it read-only, and the bundle in one go. The hash links' second place is the package's own doing.
 */
const fakeUpdateTrust = `#!/bin/sh
set -e
echo rehash >>/lab/rehashes
source=/etc/pki/ca-trust/source out=/etc/pki/ca-trust/extracted/pem defaults=/usr/share/pki/ca-trust-source
work=$(mktemp -d)
find $defaults/anchors $source/anchors -maxdepth 1 ! -type d | sort >"$work/files"
find $defaults $source -maxdepth 1 -name '*.p11-kit' | sort >>"$work/files"
while IFS= read -r file; do
  [ -f "$file" ] || continue
  [ "$(grep -c '^-----BEGIN' "$file")" = "$(grep -c '^-----END' "$file")" ] || continue
  awk -v work="$work" '
    BEGIN { ("ls " work " | wc -l") | getline count }
    /^-----BEGIN CERTIFICATE-----/ { block = sprintf("%s/block-%04d", work, ++count) }
    block { print >block }
    /^-----END/ { block = "" }' "$file"
done <"$work/files"
mkdir -p "$work/seen" "$work/hashed"
for block in "$work"/block-*; do
  facts=$(openssl x509 -in "$block" -noout -subject_hash -subject_hash_old -fingerprint -sha256 -subject -nameopt multiline -ext basicConstraints 2>/dev/null) || continue
  case $facts in *CA:FALSE*) continue ;; esac
  print=$(echo "$facts" | sed -n 's/.*Fingerprint=//p')
  [ ! -e "$work/seen/$print" ] || continue
  touch "$work/seen/$print"
  name=$(echo "$facts" | sed -n 's/^ *commonName *= //p')
  [ ! -s "$work/bundle" ] || echo >>"$work/bundle"
  base=$(echo "$name" | tr -c 'A-Za-z0-9.\\n-' _) number=
  while [ -e "$work/hashed/$base$number.pem" ]; do number=.$((\${number#.} + 1)); done
  openssl x509 -in "$block" >"$work/hashed/$base$number.pem"
  { echo "# $name"; cat "$work/hashed/$base$number.pem"; } >>"$work/bundle"
  for hash in $(echo "$facts" | grep -xE '[0-9a-f]{8}'); do
    link=0
    while [ -L "$work/hashed/$hash.$link" ]; do link=$((link + 1)); done
    ln -s "$base$number.pem" "$work/hashed/$hash.$link"
  done
done
chmod 444 "$work/bundle" "$work/hashed"/*.pem
cp -p "$work/bundle" $out/tls-ca-bundle.pem.tmp
mv -f $out/tls-ca-bundle.pem.tmp $out/tls-ca-bundle.pem
rm -rf $out/directory-hash
mkdir $out/directory-hash
cp -Pp "$work/hashed"/* $out/directory-hash/
chmod 555 $out/directory-hash
find -L /etc/pki/tls/certs -type l -name '????????.[0-9]*' -delete
for link in $out/directory-hash/????????.[0-9]*; do
  [ -e "/etc/pki/tls/certs/\${link##*/}" ] || ln -s "../../ca-trust/extracted/pem/directory-hash/$(readlink "$link")" "/etc/pki/tls/certs/\${link##*/}"
done
rm -rf "$work"
`;

const countingUpdate = `#!/bin/sh
echo rehash >>/lab/rehashes
exec /hostsbin/update-ca-certificates "$@"
`;

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where each family has what. */
const layouts = {
  photon: {
    store: "etc/ssl/certs",
    bundle: "etc/pki/tls/certs/ca-bundle.crt",
    extension: ".pem",
    tool: "usr/bin/rehash_ca_certificates.sh",
  },
  debian: {
    store: "usr/local/share/ca-certificates",
    bundle: "etc/ssl/certs/ca-certificates.crt",
    extension: ".crt",
    tool: "usr/sbin/update-ca-certificates",
  },
  rhel: {
    store: "etc/pki/ca-trust/source/anchors",
    bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    extension: ".pem",
    tool: "usr/bin/update-ca-trust",
  },
} as const;

export class FakeRoot {
  readonly folder = fs.mkdtempSync(path.join(tmpdir(), "tkc-registry-root-"));
  readonly machineId = "0123456789abcdef0123456789abcdef";
  readonly store: string;
  readonly bundle: string;
  readonly extension: string;

  constructor(
    readonly family: Family,
    shell: Shell,
  ) {
    ({ store: this.store, bundle: this.bundle, extension: this.extension } = layouts[family]);
    this.writeEnter();
    const template = templates.get(`${family} ${shell}`);
    if (template === undefined) {
      this.build(shell);
      this.rebuild();
      const copy = fs.mkdtempSync(path.join(tmpdir(), "tkc-registry-template-"));
      execFileSync("cp", ["-a", `${this.folder}/.`, copy]);
      templates.set(`${family} ${shell}`, copy);
    } else {
      execFileSync("cp", ["-a", `${template}/.`, this.folder]);
    }
    this.shell("systemctl start");
  }

  private build(shell: Shell): void {
    const folders =
      "etc/ssl etc/containerd etc/ca-certificates/update.d usr/bin usr/sbin usr/lib usr/lib64 usr/share/ca-certificates/own usr/local/share var/lib run tmp proc dev lab hostbin hostsbin etc/alternatives";
    for (const folder of folders.split(" ")) fs.mkdirSync(this.at(folder), { recursive: true });
    for (const link of ["bin", "sbin", "lib", "lib64"]) fs.symlinkSync(`usr/${link}`, this.at(link));
    for (const [from, to] of [
      ["/usr/bin", "hostbin"],
      ["/usr/sbin", "hostsbin"],
    ] as const) {
      for (const tool of fs.readdirSync(from)) {
        if (/^(systemctl|journalctl|containerd|sudo|ctr|sh|update-ca-certificates)$/.test(tool)) continue;
        fs.symlinkSync(`/${to}/${tool}`, this.at(from, tool));
      }
    }
    fs.symlinkSync(`/hostbin/${shell}`, this.at("usr/bin/sh"));
    this.program("usr/bin/systemctl", fakeSystemctl);
    this.program("usr/bin/journalctl", "#!/bin/sh\necho 'containerd: it said why'\n");
    this.program("usr/bin/ctr", '#!/bin/sh\necho "$*" >>/lab/ctr\n');
    this.program("usr/bin/containerd", fakeContainerd);
    this.write("lab/containerd.toml", containerdConfig(2, ""));
    this.program("usr/bin/sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n');
    this.write("etc/machine-id", `${this.machineId}\n`);
    this.write("etc/os-release", 'PRETTY_NAME="A test"\n');
    const own = Array.from({ length: 4 }, (_, index) => makeCertificate(`Public CA ${index}`).pem);
    this.drop("usr/bin/logger");
    this.program("usr/bin/logger", fakeLogger);
    fs.mkdirSync(this.at(this.store), { recursive: true });
    if (this.family !== "debian") fs.mkdirSync(this.at("etc/pki/tls/certs"), { recursive: true });
    if (this.family === "rhel") fs.symlinkSync("../pki/tls/certs", this.at("etc/ssl/certs"));
    else fs.mkdirSync(this.at("etc/ssl/certs"), { recursive: true });
    this.program(
      this.tool,
      { photon: fakeRehash, debian: countingUpdate, rhel: fakeUpdateTrust }[this.family],
    );
    if (this.family === "photon") {
      own.forEach((pem, index) => this.write(`etc/ssl/certs/public-${index}.pem`, pem));
    } else if (this.family === "rhel") {
      fs.mkdirSync(this.at("etc/pki/ca-trust/extracted/pem"), { recursive: true });
      fs.mkdirSync(this.at("usr/share/pki/ca-trust-source/anchors"), { recursive: true });
      fs.symlinkSync(
        "../../ca-trust/extracted/pem/tls-ca-bundle.pem",
        this.at("etc/pki/tls/certs/ca-bundle.crt"),
      );
      own.forEach((pem, index) =>
        this.write(`usr/share/pki/ca-trust-source/anchors/public-${index}.pem`, pem),
      );
    } else {
      own.forEach((pem, index) => this.write(`usr/share/ca-certificates/own/public-${index}.crt`, pem));
      this.write("etc/ca-certificates.conf", own.map((_, index) => `own/public-${index}.crt\n`).join(""));
    }
  }

  private writeEnter(): void {
    fs.writeFileSync(
      this.enter,
      `#!/bin/sh
set -e
exec unshare -m --propagation private sh -c '
  root=$1
  shift
  for folder in proc dev usr/lib usr/lib64 etc/alternatives; do
    [ ! -e "/$folder" ] || mount --bind "/$folder" "$root/$folder"
  done
  mount --bind /usr/bin "$root/hostbin"
  mount --bind /usr/sbin "$root/hostsbin"
  exec env -u TMPDIR chroot "$root" "$@"
' enter '${this.folder}' "$@"
`,
      { mode: 0o755 },
    );
  }

  /** The system's own tool, by which its bundle is rebuilt. */
  get tool(): string {
    return layouts[this.family].tool;
  }

  /** The folder with OpenSSL's hash links, as a node names it. */
  get links(): string {
    return this.family === "rhel" ? "/etc/pki/tls/certs" : "/etc/ssl/certs";
  }

  /** A program that runs its arguments in this root. */
  get enter(): string {
    return `${this.folder}.enter`;
  }

  at(...parts: string[]): string {
    return path.join(this.folder, ...parts);
  }

  write(file: string, content: string): void {
    fs.writeFileSync(this.at(file), content);
  }

  program(file: string, content: string): void {
    fs.writeFileSync(this.at(file), content, { mode: 0o755 });
  }

  drop(file: string): void {
    fs.rmSync(this.at(file), { recursive: true, force: true });
  }

  read(file: string): string {
    return fs.existsSync(this.at(file)) ? fs.readFileSync(this.at(file), "utf8") : "";
  }

  lines(file: string): number {
    return this.read(file).split("\n").length - 1;
  }

  /** Runs a shell command in the root. */
  shell(command: string): void {
    execFileSync(this.enter, ["/usr/bin/sh", "-c", command], { stdio: "ignore" });
  }

  /** What an administrator does after putting a certificate there by hand. */
  rebuild(): void {
    this.shell(`/${this.tool}`);
  }

  private operation(operation: Partial<NodeOperation> & Pick<NodeOperation, "op">): NodeOperation {
    return { machineId: this.machineId, nodeName: "node-1", owner: "demo.dev", ...operation };
  }

  /** Begins an operation as sshd would: by the user's login shell. */
  begin(operation: Partial<NodeOperation> & Pick<NodeOperation, "op">): ChildProcess {
    const { command, input } = remoteCommand(this.operation(operation));
    const child = spawn(this.enter, ["/usr/bin/bash", "-c", command], { stdio: "pipe", detached: true });
    child.stdin.end(input);
    return child;
  }

  /** Runs an operation, optionally with what is sent to the node changed on its way. */
  async run(
    operation: Partial<NodeOperation> & Pick<NodeOperation, "op">,
    damage: (input: string) => string = (input) => input,
  ): Promise<Run> {
    const { command, input } = remoteCommand(this.operation(operation));
    return await this.feed(["/usr/bin/bash", "-c", command], damage(input));
  }

  async feed(command: readonly string[], input: string): Promise<Run> {
    const child = spawn(this.enter, command, { stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout, stderr };
  }

  /** Runs an operation that must succeed. */
  async succeed(operation: Partial<NodeOperation> & Pick<NodeOperation, "op">) {
    const { stdout, stderr } = await this.run(operation);
    const report = parseScriptOutput(stdout);
    if (report?.end !== "ok") throw new Error(`it failed:\n${stdout}${stderr}`);
    return report;
  }

  /** Runs an operation that must fail, and gives its error. */
  async error(operation: Partial<NodeOperation> & Pick<NodeOperation, "op">) {
    const { stdout, stderr } = await this.run(operation);
    const report = parseScriptOutput(stdout);
    if (report?.end !== "failed") throw new Error(`it did not fail:\n${stdout}${stderr}`);
    return report;
  }

  /** Everything that an operation could leave behind: names, types, modes, link targets, contents. */
  snapshot(withTimes = false): Record<string, string> {
    const found: Record<string, string> = {};
    const walk = (folder: string): void => {
      if (!fs.existsSync(this.at(folder))) return;
      for (const name of fs.readdirSync(this.at(folder)).sort()) {
        const file = path.join(folder, name);
        const stat = fs.lstatSync(this.at(file));
        const times = withTimes ? ` ${stat.ino} ${stat.mtimeMs}` : "";
        if (stat.isSymbolicLink()) found[file] = `-> ${fs.readlinkSync(this.at(file))}${times}`;
        else if (stat.isDirectory()) {
          found[file] = `folder ${stat.mode.toString(8)}`;
          walk(file);
        } else {
          const content = createHash("sha256")
            .update(fs.readFileSync(this.at(file)))
            .digest("hex");
          found[file] = `${stat.mode.toString(8)} ${content}${times}`;
        }
      }
    };
    const places = ["etc/ssl", "etc/pki", "etc/containerd", "usr/local/share"];
    for (const folder of withTimes ? places : [...places, "var/lib", "run", "tmp"]) walk(folder);
    return found;
  }

  /** SHA-256 of every certificate in the bundle that Go reads first. */
  trusted(): string[] {
    return [
      ...this.read(this.bundle).matchAll(/-----BEGIN CERTIFICATE-----\s([^-]+)-----END CERTIFICATE-----\s/g),
    ].map(([, body = ""]) => createHash("sha256").update(Buffer.from(body, "base64")).digest("hex"));
  }

  remove(): void {
    const pid = Number(this.read("lab/pid"));
    if (pid > 1 && fs.existsSync(`/proc/${pid}`)) process.kill(pid);
    fs.rmSync(this.enter, { force: true });
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
