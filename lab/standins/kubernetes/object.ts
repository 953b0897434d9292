import {
  isArray,
  isObject,
  isSecret,
  plain,
  secret,
  secretLike,
  type Properties,
  type Value,
} from "../rpc/values";
import { parseUrn } from "../urn";
import type { ObjectReference } from "./kubectl";

/** Kinds without a namespace, of those that a stack like ours may hold. */
const clusterScoped = [
  "APIService",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "IngressClass",
  "Namespace",
  "Node",
  "PersistentVolume",
  "PriorityClass",
  "RuntimeClass",
  "StorageClass",
];

export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** As kubectl names it: `Pod`, `Deployment.v1.apps`. */
  readonly resource: string;
}

/** Reads `kubernetes:core/v1:Pod`, `kubernetes:apps/v1:Deployment`. */
export function kindOf(urn: string): Kind {
  const { type } = parseUrn(urn);
  const match = /^kubernetes:([^/:]+)\/([^:]+):([A-Za-z]+)$/.exec(type);
  if (!match) throw new Error(`the lab's stand-in does not know ${type}`);
  const [, group, version, kind] = match as unknown as [string, string, string, string];
  const core = group === "core";
  return {
    apiVersion: core ? version : `${group}/${version}`,
    kind,
    namespaced: !clusterScoped.includes(kind),
    resource: core ? kind : `${kind}.${version}.${group}`,
  };
}

/** An id is `namespace/name`, or `name` alone. */
export function reference(urn: string, id: string): ObjectReference {
  const [first = "", second] = id.split("/");
  const { resource } = kindOf(urn);
  return second === undefined ? { resource, name: first } : { resource, name: second, namespace: first };
}

export interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly generation?: number;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export const metadataOf = (object: Properties): Metadata => (plain(object.metadata ?? {}) ?? {}) as Metadata;

export function idOf(object: Properties): string {
  const { name = "", namespace } = metadataOf(object);
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The annotation with which the provider marks a name of its own making, which may be remade on replacement. */
export const autonamedAnnotation = "pulumi.com/autonamed";

/** Copies the object with other metadata; what of it is secret stays so. */
export function withMetadata(object: Properties, change: (metadata: Properties) => Properties): Properties {
  const { metadata } = object;
  if (isSecret(metadata)) {
    return { ...object, metadata: secret(change(isObject(metadata.value) ? metadata.value : {})) };
  }
  return { ...object, metadata: change(isObject(metadata) ? metadata : {}) };
}

/** Where the state keeps which field manager the object was applied by. */
const fieldManagerKey = "__fieldManager";
export const fieldManagerOf = (state: Properties): string | undefined => {
  const value = state[fieldManagerKey];
  return typeof value === "string" ? value : undefined;
};

export const without = (object: Properties, key: string): Properties =>
  Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/** What of a live object goes into state: all but bookkeeping; secret where the inputs are, and all of a Secret's data. */
export function stateOf(live: Properties, inputs: Properties, fieldManager: string): Properties {
  const object = withMetadata(live, (metadata) => without(metadata, "managedFields"));
  const marked = secretLike(object, inputs) as Properties;
  const state = live.kind === "Secret" ? hideSecret(marked) : marked;
  return { ...state, [fieldManagerKey]: fieldManager };
}

function hideSecret(object: Properties): Properties {
  const hidden = withMetadata(object, (metadata) => {
    const { annotations } = metadata;
    if (!isObject(annotations) || annotations[lastApplied] === undefined) return metadata;
    return { ...metadata, annotations: { ...annotations, [lastApplied]: secret(annotations[lastApplied]) } };
  });
  return { ...hidden, ...(hidden.data === undefined ? {} : { data: secret(hidden.data) }) };
}

/**
 * The inputs as they would be had they made what is live: the last inputs, with what has drifted since. Only what
 * differs from the last *outputs* has drifted; the server writes some values another way than they were given.
 */
export function driftedInputs(
  inputs: Value,
  outputs: Value | undefined,
  live: Value | undefined,
): Value | undefined {
  if (isSecret(inputs)) {
    const drifted = driftedInputs(inputs.value, outputs, live);
    return drifted === undefined ? undefined : secret(drifted);
  }
  if (outputs === undefined) return inputs; // given but never kept, as a Secret's `stringData`
  if (isObject(inputs) && isObject(outputs) && isObject(live)) {
    const entries = Object.entries(inputs).map(([key, value]) => [
      key,
      driftedInputs(value, outputs[key], live[key]),
    ]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Properties;
  }
  if (isArray(inputs) && isArray(outputs) && isArray(live) && outputs.length === live.length) {
    return inputs.map((value, index) => driftedInputs(value, outputs[index], live[index]) ?? null);
  }
  return JSON.stringify(outputs) === JSON.stringify(live) ? inputs : live;
}
