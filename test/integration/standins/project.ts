/** A Pulumi project of a test's own, run by the lab's CLI and stand-ins. */
import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import type { ExecResult } from "../../../lab/exec";
import { projectRoot } from "../../../lab/paths";
import { pulumi, pulumiEnvironment } from "../../../lab/pulumi";
import { labTools, toolsAreBuilt } from "../../../lab/tools";

/** The `skip` option of a test: false, or why it can't run. */
export const skip: string | false = toolsAreBuilt(["pulumi"])
  ? false
  : "the lab's tools are not built yet; `npm run lab -- up` builds them";

export interface Project {
  readonly folder: string;
  /** In which the CLI works on the project's stacks. */
  readonly env: NodeJS.ProcessEnv;
  /** Replaces the program. */
  write(program: string): Promise<void>;
  /** Runs the CLI; its failure is a failure of the test, unless `allowFailure`. */
  run(
    args: readonly string[],
    options?: { readonly allowFailure?: boolean; readonly env?: NodeJS.ProcessEnv },
  ): Promise<ExecResult>;
  /** What each output of the stack says, secrets included. */
  outputs(): Promise<Record<string, unknown>>;
  /** The state of a resource, as exported: secrets stay encrypted. */
  resource(name: string): Promise<StateResource | undefined>;
  remove(): Promise<void>;
}

export interface StateResource {
  readonly urn: string;
  readonly id?: string;
  readonly inputs: Record<string, unknown>;
  readonly outputs: Record<string, unknown>;
  readonly initErrors?: readonly string[];
}

export async function makeProject(): Promise<Project> {
  const folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-standins-"));
  const program = path.join(folder, "program");
  await mkdir(program);
  await symlink(path.join(projectRoot, "node_modules"), path.join(program, "node_modules"));
  await writeFile(path.join(program, "Pulumi.yaml"), "name: standins\nruntime: nodejs\n");
  await writeFile(path.join(program, "package.json"), JSON.stringify({ name: "standins", main: "index.ts" }));
  const tsconfig = {
    compilerOptions: {
      module: "commonjs",
      target: "ES2022",
      noCheck: true,
      skipLibCheck: true,
      esModuleInterop: true,
    },
  };
  await writeFile(path.join(program, "tsconfig.json"), JSON.stringify(tsconfig));
  const env = pulumiEnvironment(labTools(), { folder: path.join(folder, "pulumi") });
  const run: Project["run"] = (args, { env: further, ...options } = {}) =>
    pulumi(args, { env: { ...env, ...further }, cwd: program, timeout: 240, ...options });
  await run(["stack", "init", "test"]);
  return {
    ...{ folder: program, env },
    write: (text) => writeFile(path.join(program, "index.ts"), text),
    run,
    outputs: async () =>
      JSON.parse((await run(["stack", "output", "--json", "--show-secrets"])).stdout) as Record<
        string,
        unknown
      >,
    resource: async (name) => {
      const { stdout } = await run(["stack", "export"]);
      const { deployment } = JSON.parse(stdout) as { deployment: { resources?: StateResource[] } };
      return deployment.resources?.find(({ urn }) => urn.endsWith(`::${name}`));
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
