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

/** Marks a value as secret; one that is already is left as it is. */
export function secret(value: Value): Value {
  return isSecret(value) ? value : { [signatureKey]: secretSignature, value };
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

function some(value: Value, test: (value: Value) => boolean): boolean {
  if (test(value)) return true;
  return (
    typeof value === "object" && value !== null && Object.values(value).some((child) => some(child, test))
  );
}

export const hasSecret = (value: Value): boolean => some(value, isSecret);
export const hasUnknown = (value: Value): boolean => some(value, (inner) => inner === unknown);

/** Marks as secret what is secret at the same place in `model`. */
export function secretLike(value: Value, model: Value | undefined): Value {
  if (isSecret(model)) return secret(value);
  if (isArray(value) && isArray(model)) return value.map((item, index) => secretLike(item, model[index]));
  if (isObject(value) && isObject(model)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => [key, secretLike(child, model[key])]),
    );
  }
  return value;
}

export function readStruct(struct: Struct | undefined): Properties {
  return struct?.toJavaScript() ?? {};
}

export function writeStruct(properties: Properties): Struct {
  return Struct.fromJavaScript(properties);
}
