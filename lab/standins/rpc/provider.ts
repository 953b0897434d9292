/**
 * A resource provider on the engine's protocol. `@pulumi/pulumi/provider` serves one too, but tells it neither
 * whether it is a preview nor the old inputs, and can't answer with a detailed diff or take configuration.
 */
import * as grpc from "@grpc/grpc-js";
import * as plugin from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { differences, formatPath, type Difference } from "./diff";
import { servePlugin } from "./server";
import { readStruct, writeStruct, type Properties } from "./values";

export interface ResourceProvider {
  /** The version of the SDK that it stands in for; the engine warns about any other. */
  readonly version: string;
  check(request: CheckRequest): Promise<CheckResult>;
  create(request: CreateRequest): Promise<{ readonly id: string; readonly properties: Properties }>;
  read(request: ReadRequest): Promise<{ readonly properties: Properties; readonly inputs: Properties }>;
  update(request: UpdateRequest): Promise<Properties>;
  delete(request: DeleteRequest): Promise<void>;
  invoke(request: InvokeRequest): Promise<Properties>;
  /** The operator cancelled the run: give up what is going on. */
  cancel(): void;
}

export interface CheckRequest {
  readonly urn: string;
  readonly news: Properties;
}
export interface CheckResult {
  readonly inputs: Properties;
  readonly failures?: readonly { readonly property: string; readonly reason: string }[];
}
export interface CreateRequest {
  readonly urn: string;
  readonly news: Properties;
  readonly preview: boolean;
}
export interface ReadRequest {
  readonly properties: Properties;
  readonly oldInputs: Properties;
}
export interface UpdateRequest {
  readonly urn: string;
  readonly olds: Properties;
  readonly news: Properties;
  readonly preview: boolean;
}
export interface DeleteRequest {
  readonly urn: string;
  readonly properties: Properties;
}
export interface InvokeRequest {
  readonly token: string;
  readonly args: Properties;
}

type Unary<Request, Response> = (call: { readonly request: Request }) => Promise<Response>;

const kinds = {
  add: proto.PropertyDiff.Kind.ADD,
  delete: proto.PropertyDiff.Kind.DELETE,
  update: proto.PropertyDiff.Kind.UPDATE,
} as const satisfies Record<Difference["kind"], unknown>;

/** Every change is an update: what replaces, such as changed `triggers` of a command, the SDK asks the engine for. */
function diff({ request }: { readonly request: proto.DiffRequest }): Promise<proto.DiffResponse> {
  const found = differences(readStruct(request.getOldInputs()), readStruct(request.getNews()));
  const response = new proto.DiffResponse();
  const { DIFF_NONE, DIFF_SOME } = proto.DiffResponse.DiffChanges;
  response.setChanges(found.length === 0 ? DIFF_NONE : DIFF_SOME);
  response.setHasdetaileddiff(true);
  response.setDiffsList([...new Set(found.map(({ path }) => String(path[0])))]);
  for (const { path, kind } of found) {
    const property = new proto.PropertyDiff();
    property.setKind(kinds[kind]);
    response.getDetaileddiffMap().set(formatPath(path), property);
  }
  return Promise.resolve(response);
}

/** Serves the provider until the engine ends it. When the engine dies, what it had begun is still finished. */
export async function serveProvider(provider: ResourceProvider): Promise<void> {
  let running = 0;
  let engineGone = false;
  const exitWhenIdle = (): void => {
    if (engineGone && running === 0) process.exit();
  };
  const unary =
    <Request, Response>(handle: Unary<Request, Response>) =>
    (call: grpc.ServerUnaryCall<Request, Response>, callback: grpc.sendUnaryData<Response>): void => {
      running++;
      handle(call)
        .then(
          (response) => callback(null, response),
          (error: unknown) =>
            callback({
              code: grpc.status.UNKNOWN,
              details: error instanceof Error ? error.message : String(error),
            }),
        )
        .finally(() => {
          running--;
          exitWhenIdle();
        });
    };
  const resolved = <T>(value: T): Promise<T> => Promise.resolve(value);

  const implementation: grpc.UntypedServiceImplementation = {
    getPluginInfo: unary<Empty, plugin.PluginInfo>(() => {
      const response = new plugin.PluginInfo();
      response.setVersion(provider.version);
      return resolved(response);
    }),
    checkConfig: unary<proto.CheckRequest, proto.CheckResponse>(({ request }) => {
      const response = new proto.CheckResponse();
      response.setInputs(request.getNews());
      return resolved(response);
    }),
    diffConfig: unary(diff),
    configure: unary<proto.ConfigureRequest, proto.ConfigureResponse>(() => {
      const response = new proto.ConfigureResponse();
      response.setAcceptsecrets(true);
      response.setSupportspreview(true);
      return resolved(response);
    }),
    check: unary<proto.CheckRequest, proto.CheckResponse>(async ({ request }) => {
      const result = await provider.check({
        urn: request.getUrn(),
        news: readStruct(request.getNews()),
      });
      const response = new proto.CheckResponse();
      response.setInputs(writeStruct(result.inputs));
      for (const { property, reason } of result.failures ?? []) {
        const failed = new proto.CheckFailure();
        failed.setProperty(property);
        failed.setReason(reason);
        response.addFailures(failed);
      }
      return response;
    }),
    diff: unary(diff),
    create: unary<proto.CreateRequest, proto.CreateResponse>(async ({ request }) => {
      const result = await provider.create({
        urn: request.getUrn(),
        news: readStruct(request.getProperties()),
        preview: request.getPreview(),
      });
      const response = new proto.CreateResponse();
      response.setId(result.id);
      response.setProperties(writeStruct(result.properties));
      return response;
    }),
    read: unary<proto.ReadRequest, proto.ReadResponse>(async ({ request }) => {
      const result = await provider.read({
        properties: readStruct(request.getProperties()),
        oldInputs: readStruct(request.getInputs()),
      });
      const response = new proto.ReadResponse();
      response.setId(request.getId());
      response.setProperties(writeStruct(result.properties));
      response.setInputs(writeStruct(result.inputs));
      return response;
    }),
    update: unary<proto.UpdateRequest, proto.UpdateResponse>(async ({ request }) => {
      const properties = await provider.update({
        urn: request.getUrn(),
        olds: readStruct(request.getOlds()),
        news: readStruct(request.getNews()),
        preview: request.getPreview(),
      });
      const response = new proto.UpdateResponse();
      response.setProperties(writeStruct(properties));
      return response;
    }),
    delete: unary<proto.DeleteRequest, Empty>(async ({ request }) => {
      await provider.delete({
        urn: request.getUrn(),
        properties: readStruct(request.getProperties()),
      });
      return new Empty();
    }),
    invoke: unary<proto.InvokeRequest, proto.InvokeResponse>(async ({ request }) => {
      const result = await provider.invoke({ token: request.getTok(), args: readStruct(request.getArgs()) });
      const response = new proto.InvokeResponse();
      response.setReturn(writeStruct(result));
      return response;
    }),
    cancel: unary<Empty, Empty>(() => {
      provider.cancel();
      return resolved(new Empty());
    }),
  };

  await servePlugin(ResourceProviderService, implementation, () => {
    engineGone = true;
    exitWhenIdle();
  });
}
