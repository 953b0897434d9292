/** Pulumi's mocks, recording what components register: also parents, dependencies and options, which mocks don't show. */
import * as path from "node:path";
import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks";
import { packageRoot } from "../../support/build";

const runFile = path.join(packageRoot, "dist", "run.js");

export interface Registered {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
  /** The URN of the parent; "" for the stack. */
  readonly parent: string;
  /** URNs, in the engine's sense: everything that this must wait for. */
  readonly dependencies: readonly string[];
  readonly retainOnDelete: boolean;
  readonly protect: boolean;
  /** The URN and id of the provider; "" for the default one. */
  readonly provider: string;
  readonly aliases: readonly Alias[];
  /** The files of the program that led to it, whoever declared it first. */
  readonly files: readonly string[];
}

/** An earlier name. Where `atRoot` is false, the resource had the parent that it has. */
interface Alias {
  readonly name: string;
  readonly atRoot: boolean;
}

/** What was registered, by URN. */
export type Resources = ReadonlyMap<string, Registered>;

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getDependenciesList(): string[];
  getRetainondelete(): boolean;
  getProtect(): boolean;
  getProvider(): string;
  getSourceposition(): Position | undefined;
  getStacktrace(): { getFramesList(): { getPc(): Position | undefined }[] } | undefined;
  getAliasesList(): {
    getUrn(): string;
    getSpec(): { getName(): string; getNoparent(): boolean } | undefined;
  }[];
}
interface Position {
  getUri(): string;
}
interface RegisterResponse {
  getUrn(): string;
}

export interface Mocked {
  /** What a resource's outputs are, beyond its inputs. */
  readonly outputs?: (type: string, inputs: Record<string, unknown>) => Record<string, unknown>;
  /** The stack's resources by URN, as the engine tells them to a program. */
  readonly state?: object;
  readonly preview?: boolean;
  /** Where the engine's commands find this package; undefined: nowhere. */
  readonly run?: string | undefined;
}

export interface Performed {
  readonly resources: Resources;
  /** What ended the program: each error once. */
  readonly errors: readonly unknown[];
  /** What was logged, by severity. */
  readonly logged: Readonly<Record<"info" | "warn", readonly string[]>>;
  /** What of it was logged at a resource, by the resource's name. */
  readonly loggedAt: Readonly<Record<string, readonly string[]>>;
}

let logged: Record<"info" | "warn", string[]> = { info: [], warn: [] };
let loggedAt: Record<string, string[]> = {};
const log = pulumi.log as Pick<typeof pulumi.log, "info" | "warn">;
for (const severity of ["info", "warn"] as const) {
  log[severity] = async (message, resource) => {
    logged[severity].push(message);
    if (!resource) return;
    const at = loggedAt;
    const urn = await new Promise<string>((resolve) => resource.urn.apply(resolve));
    (at[urn.split("::").at(-1)!] ??= []).push(message);
  };
}

/** The errors that nobody has handled, as the language host hears of them. */
function collectErrors(): { readonly errors: Set<unknown>; stop(): void } {
  const events = ["unhandledRejection", "uncaughtException"] as const;
  const errors = new Set<unknown>();
  const listeners = events.map((event) => process.listeners(event as "uncaughtException"));
  const collect = (error: unknown): void => void errors.add(error);
  for (const event of events) process.removeAllListeners(event).on(event, collect);
  return {
    errors,
    stop: () => {
      events.forEach((event, index) => {
        process.removeAllListeners(event);
        for (const listener of listeners[index]!) process.on(event, listener);
      });
    },
  };
}

/** Runs a program against mocks until it has nothing more to do. */
export async function perform(
  program: () => unknown,
  { outputs = () => ({}), state = {}, preview = false, ...found }: Mocked = {},
): Promise<Performed> {
  const resources = new Map<string, Registered>();
  const inputsOf = new Map<string, Record<string, unknown>>();
  const ours = (logged = { info: [], warn: [] });
  const oursAt = (loggedAt = {});
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs: given }) => {
        const inputs = given as Record<string, unknown>;
        inputsOf.set(`${type}::${name}`, inputs);
        return { id: `${name}-id`, state: { ...inputs, ...outputs(type, inputs) } };
      },
      call: ({ token }) => {
        if (token === "pulumi:pulumi:readStackResourceOutputs") return { outputs: state };
        if (token === "command:local:run")
          return { stdout: JSON.stringify({ folder: packageRoot, ...{ run: runFile, ...found } }) };
        return {};
      },
    },
    "tkc-registry",
    "test",
    preview,
    "organization",
  );
  const monitor = MockMonitor.prototype;
  const original = monitor.registerResource; // eslint-disable-line @typescript-eslint/unbound-method -- put back below
  monitor.registerResource = async function (request: RegisterRequest, callback) {
    await original.call(this, request, (error, response: RegisterResponse | undefined) => {
      if (response) {
        const urn = response.getUrn();
        assert.ok(!resources.has(urn), `${urn} was registered twice`);
        resources.set(urn, {
          urn,
          type: request.getType(),
          name: request.getName(),
          inputs: inputsOf.get(`${request.getType()}::${request.getName()}`) ?? {},
          parent: request.getParent(),
          dependencies: request.getDependenciesList(),
          retainOnDelete: request.getRetainondelete(),
          protect: request.getProtect(),
          provider: request.getProvider(),
          files: [
            request.getSourceposition(),
            ...(request.getStacktrace()?.getFramesList() ?? []).map((frame) => frame.getPc()),
          ].flatMap((position) => position?.getUri() ?? []),
          aliases: request.getAliasesList().map((alias) => ({
            name: alias.getSpec()?.getName() ?? alias.getUrn(),
            atRoot: alias.getSpec()?.getNoparent() ?? false,
          })),
        });
      }
      callback(error, response);
    });
  };
  const collected = collectErrors();
  try {
    await program();
    await pulumi.runtime.disconnect();
    await new Promise(setImmediate); // Node.js tells of unhandled errors when all else is done
  } finally {
    collected.stop();
    monitor.registerResource = original;
  }
  return { resources, errors: [...collected.errors], logged: ours, loggedAt: oursAt };
}

/** Runs a program that nothing ends early, and gives back what was registered. */
export async function record(program: () => unknown, outputs?: Mocked["outputs"]): Promise<Resources> {
  const { resources, errors } = await perform(program, outputs ? { outputs } : {});
  assert.deepEqual(errors, []);
  return resources;
}

const isCustom = ({ type }: Registered): boolean => /^(command|kubernetes|pulumi:providers):/.test(type);

/** The resource of a name: of two, the one that a provider makes, unless the type is given. */
export function named(resources: Resources, name: string, type?: string): Registered {
  const found = [...resources.values()].filter(
    (each) => each.name === name && (type === undefined || each.type.endsWith(`:${type}`)),
  );
  const [first, ...others] = found.length > 1 ? found.filter(isCustom) : found;
  assert.ok(first && others.length === 0, `${found.length} resources are called ${name}`);
  return first;
}

/** Those that a provider makes. */
export const customNames = (resources: Resources): string[] =>
  [...resources.values()].filter(isCustom).map(({ name }) => name);

/** The names of the resources that one waits for, itself left out. */
export function waitsFor(resources: Resources, name: string): string[] {
  return named(resources, name)
    .dependencies.map((urn) => resources.get(urn)?.name ?? urn)
    .filter((other) => other !== name)
    .sort();
}

/** The names of all resources that must be there before one, directly or by others. */
export function comesAfter(resources: Resources, name: string): string[] {
  const found = new Set<string>();
  const add = (urn: string): void => {
    for (const other of resources.get(urn)?.dependencies ?? []) {
      if (found.has(other)) continue;
      found.add(other);
      add(other);
    }
  };
  const { urn } = named(resources, name);
  add(urn);
  found.delete(urn);
  return [...found].map((each) => resources.get(each)?.name ?? each).sort();
}

/** The engine's signature of a secret value (`sdk/go/common/resource/properties.go`). */
const secretSignature = {
  key: "4dabf18193072939515e22adb298388d",
  value: "1b47061264138c4ac30d75fd1eb44270",
};

/** Whether a value, as it was registered, is marked as a secret. */
export function markedSecret(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    (value as Record<string, unknown>)[secretSignature.key] === secretSignature.value
  );
}

/** The types of the resources among whose inputs a text is in clear. */
export function inClear(resources: Resources, text: string): string[] {
  const withoutSecrets = (_: string, value: unknown): unknown => (markedSecret(value) ? "hidden" : value);
  return [...resources.values()]
    .filter(({ inputs }) => JSON.stringify(inputs, withoutSecrets).includes(text))
    .map(({ type }) => type);
}
