/** How a plugin talks to the Pulumi engine: gRPC on a loopback port that it prints as its first line. */
import * as grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";

/** Values and states may be large: the limits of the protocol's own implementations (400 MiB). */
export const channelOptions = {
  "grpc.max_receive_message_length": 400 * 1024 * 1024,
  "grpc.max_send_message_length": 400 * 1024 * 1024,
};

interface Served {
  readonly port: number;
  readonly stop: () => void;
}

async function serve(
  service: grpc.ServiceDefinition,
  implementation: grpc.UntypedServiceImplementation,
): Promise<Served> {
  const server = new grpc.Server(channelOptions);
  server.addService(service, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, stop: () => server.forceShutdown() };
}

/** Serves until the engine ends the process, or dies and so closes the standard input that it gave. */
export async function servePlugin(
  service: grpc.ServiceDefinition,
  implementation: grpc.UntypedServiceImplementation,
  onEngineGone: () => void,
): Promise<void> {
  const { port } = await serve(service, implementation);
  process.stdin.on("end", onEngineGone).on("error", onEngineGone).resume();
  process.stdout.write(`${port}\n`);
}

const asIs = (bytes: Buffer): Buffer => bytes;
const inBytes = {
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};

/**
 * Serves unary calls in bytes, so that what this version of the protocol does not know is not lost on its way.
 *
 * @param answer - is given the path of the call, such as `/pulumirpc.Analyzer/Analyze`.
 */
export function serveInBytes(
  service: grpc.ServiceDefinition,
  answer: (path: string, request: Buffer) => Promise<Buffer>,
): Promise<Served> {
  const calls = Object.entries(service).filter(
    ([, { requestStream, responseStream }]) => !requestStream && !responseStream,
  );
  const handler =
    (path: string): grpc.handleUnaryCall<Buffer, Buffer> =>
    ({ request }, callback) => {
      answer(path, request).then(
        (response) => callback(null, response),
        (error: unknown) => callback(error as grpc.ServiceError),
      );
    };
  return serve(
    Object.fromEntries(calls.map(([name, definition]) => [name, { ...definition, ...inBytes }])),
    Object.fromEntries(calls.map(([name, { path }]) => [name, handler(path)])),
  );
}

/** The engine's address is the last argument of every plugin. */
export const engineAddress = (): string => process.argv.at(-1) ?? "";

/** Shows a passing message beside the resource that is worked on. */
export function statusLogger(): (urn: string, message: string) => void {
  const client = new EngineClient(engineAddress(), grpc.credentials.createInsecure(), channelOptions);
  return (urn, message) => {
    const request = new LogRequest();
    request.setSeverity(LogSeverity.INFO);
    request.setMessage(message);
    request.setUrn(urn);
    request.setEphemeral(true);
    client.log(request, () => {}); // an engine that is gone needs no messages
  };
}
