/**
 * A resource provider on the engine's protocol. `@pulumi/pulumi/provider` serves one too, but tells it neither
 * whether it is a preview nor the old inputs, and can't answer with a detailed diff or take configuration.
 */
import * as grpc from "@grpc/grpc-js";
import * as plugin from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { formatPath, type Diff, type Difference } from "./diff";
import { servePlugin } from "./server";
import { readStruct, writeStruct, type Properties } from "./values";

export interface Resource {
  readonly urn: string;
  /** Seconds, from `customTimeouts`; 0 is "not given". */
  readonly timeout: number;
}

export interface ResourceProvider {
  /** The version of the SDK that it stands in for; the engine warns about any other. */
  readonly version: string;
  diffConfig(oldInputs: Properties, news: Properties): Diff;
  configure(config: Properties): Promise<void>;
  check(request: CheckRequest): Promise<CheckResult>;
  diff(request: DiffRequest): Diff;
  create(request: CreateRequest): Promise<{ readonly id: string; readonly properties: Properties }>;
  /** Undefined when the resource is gone. */
  read(
    request: ReadRequest,
  ): Promise<{ readonly properties: Properties; readonly inputs: Properties } | undefined>;
  update(request: UpdateRequest): Promise<Properties>;
  delete(request: DeleteRequest): Promise<void>;
  /** The operator cancelled the run: give up what is going on. */
  cancel(): void;
  /** The engine died; what is going on is finished nevertheless, unless this says otherwise. */
  engineGone?(): void;
}

export interface CheckRequest {
  readonly urn: string;
  /** The inputs of the last run, empty for a new resource. */
  readonly oldInputs: Properties;
  readonly news: Properties;
  /** The same in preview and update, so that random names agree. */
  readonly randomSeed: Uint8Array;
}
export interface CheckResult {
  readonly inputs: Properties;
  readonly failures?: readonly { readonly property: string; readonly reason: string }[];
}
export interface DiffRequest {
  readonly urn: string;
  readonly oldInputs: Properties;
  readonly news: Properties;
}
export interface CreateRequest extends Resource {
  readonly news: Properties;
  readonly preview: boolean;
}
export interface ReadRequest {
  readonly urn: string;
  readonly id: string;
  readonly properties: Properties;
  readonly oldInputs: Properties;
}
export interface UpdateRequest extends Resource {
  readonly id: string;
  readonly olds: Properties;
  readonly oldInputs: Properties;
  readonly news: Properties;
  readonly preview: boolean;
}
export interface DeleteRequest extends Resource {
  readonly id: string;
  readonly properties: Properties;
}

/** The resource exists and belongs in state, but did not become what it should be. The next run tries again. */
export class InitializationError extends Error {
  constructor(
    message: string,
    readonly id: string,
    readonly properties: Properties,
    readonly inputs: Properties,
    readonly reasons: readonly string[],
  ) {
    super(message);
    this.name = "InitializationError";
  }
}

type Unary<Request, Response> = (call: { readonly request: Request }) => Promise<Response>;

function failure(error: unknown): Partial<grpc.StatusObject> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof InitializationError)) return { code: grpc.status.UNKNOWN, details: message };
  const detail = new proto.ErrorResourceInitFailed();
  detail.setId(error.id);
  detail.setProperties(writeStruct(error.properties));
  detail.setInputs(writeStruct(error.inputs));
  detail.setReasonsList([...error.reasons]);
  const packed = new Any();
  packed.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new Status();
  status.setCode(grpc.status.UNKNOWN);
  status.setMessage(message);
  status.addDetails(packed);
  const metadata = new grpc.Metadata();
  // Where gRPC carries structured errors.
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return { code: grpc.status.UNKNOWN, details: message, metadata };
}

const kinds = {
  add: [proto.PropertyDiff.Kind.ADD, proto.PropertyDiff.Kind.ADD_REPLACE],
  delete: [proto.PropertyDiff.Kind.DELETE, proto.PropertyDiff.Kind.DELETE_REPLACE],
  update: [proto.PropertyDiff.Kind.UPDATE, proto.PropertyDiff.Kind.UPDATE_REPLACE],
} as const satisfies Record<Difference["kind"], unknown>;

function diffResponse({
  differences,
  replaces = [],
  deleteBeforeReplace = false,
  inputDiff = false,
}: Diff): proto.DiffResponse {
  const response = new proto.DiffResponse();
  const { DIFF_NONE, DIFF_SOME } = proto.DiffResponse.DiffChanges;
  response.setChanges(differences.length === 0 ? DIFF_NONE : DIFF_SOME);
  response.setHasdetaileddiff(true);
  response.setDiffsList([...new Set(differences.map(({ path }) => String(path[0])))]);
  response.setReplacesList([...new Set(replaces.map(({ path }) => formatPath(path)))]);
  response.setDeletebeforereplace(deleteBeforeReplace && replaces.length > 0);
  for (const difference of differences) {
    const property = new proto.PropertyDiff();
    property.setKind(kinds[difference.kind][replaces.includes(difference) ? 1 : 0]);
    property.setInputdiff(inputDiff);
    response.getDetaileddiffMap().set(formatPath(difference.path), property);
  }
  return response;
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
          (error: unknown) => callback(failure(error)),
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
    diffConfig: unary<proto.DiffRequest, proto.DiffResponse>(({ request }) =>
      resolved(
        diffResponse(provider.diffConfig(readStruct(request.getOldInputs()), readStruct(request.getNews()))),
      ),
    ),
    configure: unary<proto.ConfigureRequest, proto.ConfigureResponse>(async ({ request }) => {
      await provider.configure(readStruct(request.getArgs()));
      const response = new proto.ConfigureResponse();
      response.setAcceptsecrets(true);
      response.setSupportspreview(true);
      return response;
    }),
    check: unary<proto.CheckRequest, proto.CheckResponse>(async ({ request }) => {
      const result = await provider.check({
        urn: request.getUrn(),
        oldInputs: readStruct(request.getOlds()),
        news: readStruct(request.getNews()),
        randomSeed: request.getRandomseed_asU8(),
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
    diff: unary<proto.DiffRequest, proto.DiffResponse>(({ request }) =>
      resolved(
        diffResponse(
          provider.diff({
            urn: request.getUrn(),
            oldInputs: readStruct(request.getOldInputs()),
            news: readStruct(request.getNews()),
          }),
        ),
      ),
    ),
    create: unary<proto.CreateRequest, proto.CreateResponse>(async ({ request }) => {
      const result = await provider.create({
        urn: request.getUrn(),
        timeout: request.getTimeout(),
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
        urn: request.getUrn(),
        id: request.getId(),
        properties: readStruct(request.getProperties()),
        oldInputs: readStruct(request.getInputs()),
      });
      const response = new proto.ReadResponse(); // without an id it says that the resource is gone
      if (result) {
        response.setId(request.getId());
        response.setProperties(writeStruct(result.properties));
        response.setInputs(writeStruct(result.inputs));
      }
      return response;
    }),
    update: unary<proto.UpdateRequest, proto.UpdateResponse>(async ({ request }) => {
      const properties = await provider.update({
        urn: request.getUrn(),
        id: request.getId(),
        timeout: request.getTimeout(),
        olds: readStruct(request.getOlds()),
        oldInputs: readStruct(request.getOldInputs()),
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
        id: request.getId(),
        timeout: request.getTimeout(),
        properties: readStruct(request.getProperties()),
      });
      return new Empty();
    }),
    cancel: unary<Empty, Empty>(() => {
      provider.cancel();
      return resolved(new Empty());
    }),
  };

  await servePlugin(ResourceProviderService, implementation, () => {
    engineGone = true;
    provider.engineGone?.();
    exitWhenIdle();
  });
}
