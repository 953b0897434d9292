/** Pulumi's mocks, recording what components register: also parents, dependencies and options, which mocks don't show. */
import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks";

export interface Registered {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
  readonly parent: string;
  /** URNs, in the engine's sense: everything that this must wait for. */
  readonly dependencies: readonly string[];
  readonly retainOnDelete: boolean;
}

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getDependenciesList(): string[];
  getRetainondelete(): boolean;
}
interface RegisterResponse {
  getUrn(): string;
}

/**
 * Runs a program of components against mocks and gives back what was registered, by name.
 *
 * @param outputs what a resource's outputs are, beyond its inputs.
 */
export async function record(
  program: () => pulumi.Resource,
  outputs: (type: string, inputs: Record<string, unknown>) => Record<string, unknown> = () => ({}),
): Promise<Map<string, Registered>> {
  const registered = new Map<string, Registered>();
  const inputsOf = new Map<string, Record<string, unknown>>();
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs: given }) => {
        const inputs = given as Record<string, unknown>;
        inputsOf.set(`${type}::${name}`, inputs);
        return { id: `${name}-id`, state: { ...inputs, ...outputs(type, inputs) } };
      },
      call: () => ({}),
    },
    "tkc-registry",
    "test",
    false,
  );
  const monitor = MockMonitor.prototype;
  const original = monitor.registerResource; // eslint-disable-line @typescript-eslint/unbound-method -- put back below
  monitor.registerResource = async function (request: RegisterRequest, callback) {
    await original.call(this, request, (error, response: RegisterResponse | undefined) => {
      if (response) {
        registered.set(request.getName(), {
          urn: response.getUrn(),
          type: request.getType(),
          name: request.getName(),
          inputs: inputsOf.get(`${request.getType()}::${request.getName()}`) ?? {},
          parent: request.getParent(),
          dependencies: request.getDependenciesList(),
          retainOnDelete: request.getRetainondelete(),
        });
      }
      callback(error, response);
    });
  };
  try {
    const resource = program();
    await new Promise((resolve) => resource.urn.apply(resolve));
    await pulumi.runtime.disconnect();
  } finally {
    monitor.registerResource = original;
  }
  return registered;
}

/** The names of the resources that one waits for, itself left out. */
export function waitsFor(registered: ReadonlyMap<string, Registered>, name: string): string[] {
  const byUrn = new Map([...registered.values()].map((resource) => [resource.urn, resource.name]));
  return registered
    .get(name)!
    .dependencies.map((urn) => byUrn.get(urn) ?? urn)
    .filter((other) => other !== name)
    .sort();
}

/** The names of all resources that must be there before one, directly or by others. */
export function comesAfter(registered: ReadonlyMap<string, Registered>, name: string): string[] {
  const found = new Set<string>();
  const add = (each: string): void => {
    for (const other of registered.has(each) ? waitsFor(registered, each) : []) {
      if (found.has(other)) continue;
      found.add(other);
      add(other);
    }
  };
  add(name);
  return [...found].sort();
}

/** The engine's signature of a secret value (`sdk/go/common/resource/properties.go`). */
const secretSignature = {
  key: "4dabf18193072939515e22adb298388d",
  value: "1b47061264138c4ac30d75fd1eb44270",
};

/** Whether a value, as it was registered, is marked as a secret. */
export function markedSecret(value: unknown): boolean {
  return (value as Record<string, unknown>)[secretSignature.key] === secretSignature.value;
}
