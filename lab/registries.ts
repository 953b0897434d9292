/**
 * The registries, both on one machine, each a docker-registry with a user and an authority of its own: `harbor`, which
 * nginx serves as Harbor's front does, and `custom`, which has its own TLS on a port of its own.
 */
import { readFileSync, rmSync } from "node:fs";
import * as path from "node:path";
import { replaceFile } from "./wholeFiles";
import { basicAuthorization, https } from "./http";
import { images, withoutTraces } from "./image";
import { hostsFile, machineEnvironment } from "./kubernetes";
import type { MachineFile, Machines, MachineSpec } from "./machines";
import { runFolder } from "./paths";
import {
  authority,
  fingerprint,
  forgetAuthority,
  hasAuthority,
  issue,
  promoteAuthority,
  type Authority,
} from "./pki";
import type { Engine } from "./podman";
import type { LabState } from "./state";
import {
  management,
  registriesMachine,
  registryAddresses,
  registryNames,
  type RegistryName,
} from "./topology";
import { eventually, type See } from "./waiting";

/** What of Harbor's `getcert` is there: v2's, v1's, neither; an error; a page that isn't it. */
export type GetcertMode = "v2" | "v1-only" | "404" | "500" | "html";

/** What users of a registry know of it. */
export interface RegistryInfo {
  readonly name: RegistryName;
  /** As in image names: `host` or `host:port`. */
  readonly host: string;
  readonly user: string;
  readonly password: string;
  /** PEM of its authority. */
  readonly caFile: string;
  /** SHA-256 of the authority's DER: lower-case hex without colons. */
  readonly caSha256: string;
  /** An image that it holds: nginx, whose server listens on port 80. */
  readonly image: string;
}

const users: Readonly<Record<RegistryName, string>> = { harbor: "robot$tkc", custom: "puller" };
const repositories: Readonly<Record<RegistryName, readonly [string, string]>> = {
  harbor: ["ns1/nginx", "latest"],
  custom: ["team/nginx", "1.0"],
};

const authorityName = (name: RegistryName): string => `registry-${name}`;

function registryAuthority(name: RegistryName): Promise<Authority> {
  return authority(authorityName(name), `${name}-ca`);
}

/** The authority that the next rotation brings, where that was asked for beforehand. */
const nextAuthorityName = (name: RegistryName): string => `${authorityName(name)}-next`;

/** Where a registry's authority is for those who are given it: a folder with nothing else. */
const certificateFolder = (name: RegistryName): string => path.join(runFolder, "registries", name);

const caFileOf = (name: RegistryName): string => path.join(certificateFolder(name), "ca.crt");

const nextCertificateFolder = (name: RegistryName): string => `${certificateFolder(name)}-next`;

/** An authority that a registry will have. */
export interface NextCa {
  /** PEM. */
  readonly caFile: string;
  /** SHA-256 of its DER: lower-case hex without colons. */
  readonly caSha256: string;
}

/** The authority that {@link rotateAuthority} will give a registry, made if it isn't there. */
export async function nextAuthority(name: RegistryName): Promise<NextCa> {
  const { certificate } = await authority(nextAuthorityName(name), `${name}-ca`);
  const caFile = path.join(nextCertificateFolder(name), "ca.crt");
  replaceFile(caFile, certificate);
  return { caFile, caSha256: fingerprint(certificate) };
}

/** Puts a registry's authority where {@link registryInfo} finds it. */
export async function publishAuthority(name: RegistryName): Promise<void> {
  replaceFile(caFileOf(name), (await registryAuthority(name)).certificate);
}

export function registryInfo(name: RegistryName, state: LabState): RegistryInfo {
  const { address, port } = registryAddresses[name];
  const withPort = (host: string): string => (port === 443 ? host : `${host}:${port}`);
  const caFile = caFileOf(name);
  const [repository, tag] = repositories[name];
  return {
    name,
    host: withPort(address),
    user: users[name],
    password: state.passwords.registries[name],
    caFile,
    caSha256: fingerprint(readFileSync(caFile, "utf8")),
    image: `${withPort(address)}/${repository}:${tag}`,
  };
}

const folderOf = (name: RegistryName): string => `/etc/lab/${name}`;
const units: Readonly<Record<RegistryName, string>> = {
  harbor: "nginx.service",
  custom: "registry-custom.service",
};

/** Who may pull from a registry and push to it: its user, with the password. */
const usersFile = (name: RegistryName): string => `${folderOf(name)}/users`;
const userLine = ({ user, password }: RegistryInfo): string => `${user}:${password}\n`;

/** Says of which certificate the registry's own files all are, and that it was restarted since: written last. */
const servedFile = (name: RegistryName): string => `${folderOf(name)}/tls/served`;

async function tlsFiles(name: RegistryName): Promise<Record<string, MachineFile>> {
  const ca = await registryAuthority(name);
  const { address, dnsName } = registryAddresses[name];
  const server = await issue(ca, "server", {
    commonName: dnsName,
    names: [`IP:${address}`, `DNS:${dnsName}`],
  });
  return {
    [`${folderOf(name)}/tls/ca.crt`]: { content: ca.certificate },
    // Harbor's administrator gives the server certificate only; the custom registry serves its authority's as well.
    [`${folderOf(name)}/tls/server.crt`]: {
      content: name === "harbor" ? server.certificate : server.certificate + ca.certificate,
    },
    [`${folderOf(name)}/tls/server.key`]: { content: server.key, mode: 0o600 },
    [servedFile(name)]: { content: `${fingerprint(server.certificate)}\n` },
  };
}

function registryConfiguration(name: RegistryName): MachineFile {
  const { address, port } = registryAddresses[name];
  const folder = folderOf(name);
  return {
    content: JSON.stringify({
      version: "0.1",
      log: { level: "warn", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: `/var/lib/registry-${name}` } },
      auth: { htpasswd: { realm: name, path: `${folder}/htpasswd` } },
      http: {
        relativeurls: true,
        secret: name,
        ...(name === "harbor"
          ? { addr: "127.0.0.1:5000" }
          : {
              addr: `${address}:${port}`,
              tls: { certificate: `${folder}/tls/server.crt`, key: `${folder}/tls/server.key` },
            }),
      },
    }),
  };
}

export async function registriesMachineSpec(state: LabState): Promise<MachineSpec> {
  const files: Record<string, MachineFile> = {
    ...hostsFile(registriesMachine),
    ...machineEnvironment({}),
    [getcertFile]: { content: getcertInclude("v2") },
  };
  for (const name of registryNames) {
    Object.assign(files, await tlsFiles(name));
    files[`${folderOf(name)}/registry.json`] = registryConfiguration(name);
    files[usersFile(name)] = { content: userLine(registryInfo(name, state)), mode: 0o600 };
  }
  return {
    name: registriesMachine,
    image: images.debian,
    wiring: { network: management, addresses: registryNames.map((name) => registryAddresses[name].address) },
    trees: ["common", "registries"],
    units: ["nginx.service"],
    mounts: {},
    files,
  };
}

const getcertFile = "/etc/lab/harbor/getcert.conf";
const getcertInclude = (mode: GetcertMode): string => `include /etc/lab/harbor/getcert/${mode}.conf;\n`;

/** Sets what Harbor's `getcert` answers. */
export async function setGetcert(machines: Machines, mode: GetcertMode): Promise<void> {
  await machines.write(registriesMachine, getcertFile, getcertInclude(mode));
  await machines.restart(registriesMachine, units.harbor);
}

/**
 * Gives a registry a new authority and a certificate of it; what the old one issued is refused from then on. Where
 * {@link nextAuthority} was asked for, that one is it.
 */
export async function rotateAuthority(machines: Machines, name: RegistryName): Promise<void> {
  const next = nextAuthorityName(name);
  if (hasAuthority(next)) promoteAuthority(next, authorityName(name));
  else forgetAuthority(authorityName(name));
  rmSync(nextCertificateFolder(name), { recursive: true, force: true });
  await settleAuthority(machines, name);
  await publishAuthority(name);
}

/** Has a registry serve a certificate of its current authority, which it doesn't yet where a rotation was cut. */
export async function settleAuthority(machines: Machines, name: RegistryName): Promise<void> {
  const { [servedFile(name)]: served, ...files } = await tlsFiles(name);
  const current = await machines.exec(registriesMachine, ["cat", servedFile(name)], { allowFailure: true });
  if (current.code === 0 && current.stdout === served!.content) return;
  for (const [file, { content, mode }] of Object.entries(files)) {
    await machines.write(registriesMachine, file, content, mode);
  }
  await machines.restart(registriesMachine, units[name]);
  await machines.write(registriesMachine, servedFile(name), served!.content);
}

/** Has a registry let its user in with the password that the lab's state has, which it doesn't yet where a change was cut. */
export async function settlePassword(machines: Machines, info: RegistryInfo): Promise<void> {
  const { name, host } = info;
  const status = await eventually(`the registry ${name} (${host}) answers`, async (see) => {
    const answer = await ask(info, "/v2/", see);
    return answer === 200 || answer === 401 ? answer : undefined; // nginx may be up before the registry is
  });
  if (status === 200) return;
  await machines.write(registriesMachine, usersFile(name), userLine(info), 0o600);
  await machines.restart(registriesMachine, `registry-${name}.service`);
}

/** Whether a registry lets its user in over TLS of its authority. */
export async function isRegistryHealthy(info: RegistryInfo): Promise<boolean> {
  return (await ask(info, "/v2/")) === 200;
}

/** Waits until a registry lets its user in. */
export async function awaitRegistry(info: RegistryInfo): Promise<void> {
  await eventually(`the registry ${info.name} (${info.host}) lets its user in`, async (see) =>
    (await ask(info, "/v2/", see)) === 200 ? true : undefined,
  );
}

async function ask(info: RegistryInfo, place: string, see: See = () => {}): Promise<number | undefined> {
  try {
    const { status } = await https(`https://${info.host}${place}`, {
      ca: readFileSync(info.caFile, "utf8"),
      headers: {
        ...basicAuthorization(info.user, info.password),
        Accept:
          "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
      },
    });
    see(`status ${status}`);
    return status;
  } catch (error) {
    see((error as Error).message);
    return undefined; // not there yet
  }
}

/** Waits until a registry answers, and pushes its image unless it holds it. */
export async function fillRegistry(engine: Engine, info: RegistryInfo): Promise<void> {
  const [repository, tag] = repositories[info.name];
  const manifest = `/v2/${repository}/manifests/${tag}`;
  const held = await eventually(`the registry ${info.name} (${info.host}) answers`, async (see) => {
    const status = await ask(info, manifest, see);
    return status === 200 || status === 404 ? status === 200 : undefined; // nginx may be up before the registry is
  });
  if (held) return;
  const login = path.join(runFolder, "registries", `${info.name}.login.json`);
  const auth = Buffer.from(`${info.user}:${info.password}`).toString("base64");
  replaceFile(login, JSON.stringify({ auths: { [info.host]: { auth } } }));
  await withoutTraces(() =>
    engine.podman([
      ...["push", "--quiet", "--authfile", login, "--cert-dir", certificateFolder(info.name)],
      ...[images.nginx, `docker://${info.image}`],
    ]),
  );
}
