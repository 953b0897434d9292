/**
 * What the engine asks of a provider and what that answers, as JSON in protobuf's own mapping. Written by hand, as the
 * messages of `@pulumi/pulumi` come without their descriptors.
 */
import { status, type ServiceError } from "@grpc/grpc-js";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb";
import type { Plugin } from "./client";
import { isObject, readStruct, writeStruct, type Properties, type Value } from "./values";

/** A line of a record. */
export interface Exchange {
  /** The run of the engine that it is part of. */
  readonly run: string;
  readonly method: Method;
  readonly request: Properties;
  readonly response?: Properties;
  /** `Code: text`. */
  readonly error?: readonly [string];
}

interface Message {
  serializeBinary(): Uint8Array;
}
interface MessageType {
  new (): Message;
  deserializeBinary(bytes: Uint8Array): Message;
}

/** Calls an accessor of a message: the generated `setOldInputs`, `getIgnorechangesList`. */
function access(message: Message, name: string, ...args: readonly unknown[]): unknown {
  const accessors = Object.getOwnPropertyNames(Object.getPrototypeOf(message) as object);
  const found = accessors.find((each) => each.toLowerCase() === name.toLowerCase());
  if (found === undefined) throw new Error(`${message.constructor.name} has no ${name}`);
  return (message as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[found]!(...args);
}

/** How a field is read as JSON, where undefined is "not set", and set from JSON. */
interface Field {
  read(message: Message, name: string): Value | undefined;
  set(message: Message, name: string, value: Value): void;
}

const plain: Field = {
  read: (message, name) => (access(message, `get${name}`) as Value) || undefined,
  set: (message, name, value) => void access(message, `set${name}`, value),
};
const struct: Field = {
  read(message, name) {
    const value = access(message, `get${name}`) as Struct | undefined;
    return value && readStruct(value);
  },
  set: (message, name, value) => void access(message, `set${name}`, writeStruct(value as Properties)),
};
const list = (item: (value: never) => Value = (value) => value): Field => ({
  read(message, name) {
    const values = access(message, `get${name}List`) as readonly never[];
    return values.length === 0 ? undefined : values.map(item);
  },
  set: (message, name, value) => void access(message, `set${name}List`, value),
});

const nameOf = (names: Readonly<Record<string, number | string>>, value: number): string | undefined =>
  value === 0 ? undefined : Object.keys(names).find((name) => names[name] === value);

/** Only answers have one. */
const readOnly = (read: (message: never) => Value | undefined): Field => ({
  read: (message) => read(message as never),
  set: () => {
    throw new Error("a field of answers only");
  },
});

const failures = list((failure: proto.CheckFailure) => ({
  property: failure.getProperty(),
  reason: failure.getReason(),
}));
const changes = readOnly((response: proto.DiffResponse) =>
  nameOf(proto.DiffResponse.DiffChanges, response.getChanges()),
);
const detailedDiff = readOnly((response: proto.DiffResponse) => {
  const found: Record<string, Value> = {};
  response.getDetaileddiffMap().forEach((difference, path) => {
    const kind = nameOf(proto.PropertyDiff.Kind, difference.getKind());
    found[path] = { ...(kind && { kind }), ...(difference.getInputdiff() && { inputDiff: true }) };
  });
  return Object.keys(found).length === 0 ? undefined : found;
});

type Fields = Readonly<Record<string, Field>>;
const resource: Fields = { urn: plain, name: plain, type: plain };
const changed: Fields = { id: plain, olds: struct, news: struct, oldInputs: struct, ignoreChanges: list() };
const refreshBeforeUpdate = plain;

/** All fields but those that the engine makes up for each run, such as a seed. */
const methods = {
  Check: {
    request: [proto.CheckRequest, { ...resource, olds: struct, news: struct }],
    response: [proto.CheckResponse, { inputs: struct, failures }],
  },
  Diff: {
    request: [proto.DiffRequest, { ...resource, ...changed }],
    response: [
      proto.DiffResponse,
      {
        replaces: list(),
        stables: list(),
        deleteBeforeReplace: plain,
        changes,
        diffs: list(),
        detailedDiff,
        hasDetailedDiff: plain,
      },
    ],
  },
  Create: {
    request: [proto.CreateRequest, { ...resource, properties: struct, timeout: plain, preview: plain }],
    response: [proto.CreateResponse, { id: plain, properties: struct, refreshBeforeUpdate }],
  },
  Read: {
    request: [proto.ReadRequest, { ...resource, id: plain, properties: struct, inputs: struct }],
    response: [proto.ReadResponse, { id: plain, properties: struct, inputs: struct, refreshBeforeUpdate }],
  },
  Update: {
    request: [proto.UpdateRequest, { ...resource, ...changed, timeout: plain, preview: plain }],
    response: [proto.UpdateResponse, { properties: struct, refreshBeforeUpdate }],
  },
  Delete: {
    request: [
      proto.DeleteRequest,
      { ...resource, id: plain, properties: struct, oldInputs: struct, timeout: plain },
    ],
    response: [Empty, {}],
  },
} as const satisfies Record<string, Record<"request" | "response", readonly [MessageType, Fields]>>;

/** What is recorded: the calls that work on a resource. */
export type Method = keyof typeof methods;

/** A message's bytes as JSON. */
function readMessage(method: Method, part: "request" | "response", bytes: Uint8Array): Properties {
  const [type, fields]: readonly [MessageType, Fields] = methods[method][part];
  const message = type.deserializeBinary(bytes);
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, field]) => {
      const value = field.read(message, name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** The bytes of a request. */
function writeRequest(method: Method, request: Properties): Uint8Array {
  const [type, fields]: readonly [MessageType, Fields] = methods[method].request;
  const message = new type();
  for (const [name, value] of Object.entries(request)) {
    const field = fields[name];
    if (!field) throw new Error(`${method} has no field ${name}`);
    field.set(message, name, value);
  }
  return message.serializeBinary();
}

/** The value with `change` done to every string in it, keys included. */
function mapStrings(value: Value, change: (text: string) => string): Value {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item: Value) => mapStrings(item, change));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [change(key), mapStrings(child, change)]),
  );
}

const service = "/pulumirpc.ResourceProvider/";

/** The method of a call that is recorded. */
export function recordedMethod(path: string): Method | undefined {
  const name = path.slice(service.length);
  return Object.hasOwn(methods, name) ? (name as Method) : undefined;
}

/** `Code: text`. */
function errorText({ code, details }: ServiceError): string {
  const words = status[code].toLowerCase().split("_");
  return `${words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("")}: ${details}`;
}

/** An exchange as JSON: the bytes that were sent, and the answer to them. */
export async function readExchange(
  method: Method,
  request: Uint8Array,
  answer: Promise<Uint8Array>,
): Promise<Omit<Exchange, "run">> {
  const asked = { method, request: readMessage(method, "request", request) };
  return answer.then(
    (response) => ({ ...asked, response: readMessage(method, "response", response) }),
    (error: unknown) => ({ ...asked, error: [errorText(error as ServiceError)] as const }),
  );
}

/** What a record has for the project's folder. */
const folderMark = "<dir>";
/** What it has for the random end of an id that a provider made up. */
const randomMark = "<8 hex>";

/** Asks a plugin what is recorded, for a project in `folder`. */
export function askAgain(
  plugin: Plugin,
  { method, request }: Exchange,
  folder: string,
): Promise<Omit<Exchange, "run">> {
  const placed = mapStrings(request, (text) => text.replaceAll(folderMark, folder));
  const bytes = writeRequest(method, placed as Properties);
  return readExchange(method, bytes, plugin.call(`${service}${method}`, bytes));
}

/** An exchange without what differs from one time and place to another. */
export function normalised(exchange: Omit<Exchange, "run">, folder: string): Omit<Exchange, "run"> {
  const anywhere = mapStrings(exchange, (text) => text.replaceAll(folder, folderMark)) as unknown as Omit<
    Exchange,
    "run"
  >;
  const { id } = anywhere.response ?? {};
  if (anywhere.method !== "Create" || typeof id !== "string") return anywhere;
  return { ...anywhere, response: { ...anywhere.response, id: id.replace(/[0-9a-f]{8}$/, randomMark) } };
}
