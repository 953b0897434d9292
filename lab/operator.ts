/** The person at this machine: a vCenter user who logs in to the Supervisor, and what his shell needs. */
import { readFileSync, rmSync } from "node:fs";
import * as path from "node:path";
import { exec } from "./exec";
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

/**
 * Gives a kubeconfig with the contexts `ns1` and `tkc-cluster-1`, made by `npm run login` as by a person; one whose
 * tokens are good for another hour stays.
 */
export async function operatorKubeconfig(state: LabState, user = vcenterUser): Promise<string> {
  const file = kubeconfigFile(user);
  const expire = tokensExpire(readIfThere(file) ?? "");
  if (expire !== undefined && expire > Date.now() / 1000 + renewBefore) return file;
  const { server, password, caFile } = supervisorLogin(state, user);
  await exec(
    process.execPath,
    [
      ...["-e", "require('tkc-registry/run')", "--", "v1", "login", "--server", server, "--user", user],
      ...["--namespace", supervisor.namespace, "--cluster", cluster.name],
      ...["--ca-file", caFile, "--kubeconfig", file, "--force"],
    ],
    {
      cwd: projectRoot,
      env: { ...process.env, TKC_REGISTRY_VCENTER_PASSWORD: password },
      timeout: patience,
    },
  );
  return file;
}
