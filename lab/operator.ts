/** The person at this machine: a vCenter user who logs in to the Supervisor, and what his shell needs. */
import { readFileSync, rmSync } from "node:fs";
import * as path from "node:path";
import { exec, type ExecResult } from "./exec";
import { readIfThere, replaceFile } from "./wholeFiles";
import { projectRoot, runFolder } from "./paths";
import { fingerprint } from "./pki";
import type { LabState } from "./state";
import { loginAuthority } from "./supervisor";
import { cluster, supervisor, vcenterStranger, vcenterUser } from "./topology";
import { patience } from "./waiting";

/** What a vCenter user knows for logging in. */
export interface SupervisorLogin {
  /** The Supervisor's address. */
  readonly server: string;
  readonly user: string;
  readonly password: string;
  /** PEM of the authority of the Supervisor's login. */
  readonly caFile: string;
  /** SHA-256 of that authority's DER: lower-case hex without colons. */
  readonly caSha256: string;
}

const loginCaFile = path.join(runFolder, "supervisor-ca.crt");

/** Puts the authority of the login where the operator finds it. */
export async function publishLoginAuthority(): Promise<void> {
  replaceFile(loginCaFile, (await loginAuthority()).certificate);
}

export function supervisorLogin(state: LabState, user = vcenterUser): SupervisorLogin {
  return {
    server: supervisor.address,
    user,
    password: state.passwords.vcenter,
    caFile: loginCaFile,
    caSha256: fingerprint(readFileSync(loginCaFile, "utf8")),
  };
}

/** A token with less than this left is renewed. */
const renewBefore = 3600;

/** When the tokens of a kubeconfig expire, in seconds since 1970; undefined when it can't be told. */
export function tokensExpire(kubeconfig: string): number | undefined {
  const tokens = [...kubeconfig.matchAll(/eyJ[\w-]+\.([\w-]+)\.[\w-]+/g)].map(([, claims]) => {
    const { exp } = JSON.parse(Buffer.from(claims!, "base64url").toString()) as { exp: number };
    return exp;
  });
  return tokens.length === 0 ? undefined : Math.min(...tokens);
}

const kubeconfigFile = (user: string): string =>
  path.join(runFolder, user === vcenterUser ? "kubeconfig" : `kubeconfig-${user}`);

/** Has everybody log in anew before the kubeconfigs are used again. */
export function forgetLogins(): void {
  for (const user of [vcenterUser, vcenterStranger]) rmSync(kubeconfigFile(user), { force: true });
}

/** The arguments of `npm run login` by which somebody logs in, but for the password. */
export function loginArguments({ server, user, caFile }: SupervisorLogin): readonly string[] {
  return [
    ...["--server", server, "--user", user],
    ...["--namespace", supervisor.namespace, "--cluster", cluster.name, "--ca-file", caFile],
  ];
}

/** Logs a vCenter user in by the product's own command, as a person would, and gives what that printed. */
export async function logIn(state: LabState, user = vcenterUser): Promise<ExecResult> {
  const login = supervisorLogin(state, user);
  return await exec(
    process.execPath,
    [
      ...["-e", "require('tkc-registry/run')", "--", "v1", "login", ...loginArguments(login)],
      ...["--kubeconfig", kubeconfigFile(user), "--force"],
    ],
    {
      cwd: projectRoot,
      env: { ...process.env, TKC_REGISTRY_VCENTER_PASSWORD: login.password },
      timeout: patience,
    },
  );
}

/**
 * Gives a kubeconfig with the contexts `ns1` and `tkc-cluster-1`; one whose tokens are good for another hour stays as it
 * is.
 */
export async function operatorKubeconfig(state: LabState, user = vcenterUser): Promise<string> {
  const file = kubeconfigFile(user);
  const expire = tokensExpire(readIfThere(file) ?? "");
  if (expire === undefined || expire <= Date.now() / 1000 + renewBefore) await logIn(state, user);
  return file;
}
