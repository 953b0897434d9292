/**
 * Property values as the engine sends them: plain JSON, in which a secret is an object with a signature and an
 * unknown (only in previews) is a fixed string. Both are constants of the protocol, the same as in
 * `@pulumi/pulumi/runtime/rpc`.
 */
import { Struct } from "google-protobuf/google/protobuf/struct_pb";

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** Stands for a value that isn't known before the update runs. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };
export type Properties = Readonly<Record<string, Value>>;

export function isObject(value: Value | undefined): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const isArray = (value: Value | undefined): value is readonly Value[] => Array.isArray(value);

export function isSecret(value: Value | undefined): value is { readonly value: Value } {
  return isObject(value) && value[signatureKey] === secretSignature;
}

function mapChildren(value: Value, map: (child: Value) => Value): Value {
  if (isArray(value)) return value.map(map);
  if (isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, map(child)]));
  return value;
}

/** The value without any mark of secrecy, at any depth. */
export function plain(value: Value): Value {
  return isSecret(value) ? plain(value.value) : mapChildren(value, plain);
}

export function readStruct(struct: Struct | undefined): Properties {
  return struct?.toJavaScript() ?? {};
}

export function writeStruct(properties: Properties): Struct {
  return Struct.fromJavaScript(properties);
}
