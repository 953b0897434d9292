/** How a plugin talks to the Pulumi engine: gRPC on a loopback port that it prints as its first line. */
import * as grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";

/** Values and states may be large: the limits of the protocol's own implementations (400 MiB). */
export const channelOptions = {
  "grpc.max_receive_message_length": 400 * 1024 * 1024,
  "grpc.max_send_message_length": 400 * 1024 * 1024,
};

/** Serves until the engine ends the process, or dies and so closes the standard input that it gave. */
export async function servePlugin(
  service: grpc.ServiceDefinition,
  implementation: grpc.UntypedServiceImplementation,
  onEngineGone: () => void,
): Promise<void> {
  const server = new grpc.Server(channelOptions);
  server.addService(service, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  process.stdin.on("end", onEngineGone).on("error", onEngineGone).resume();
  process.stdout.write(`${port}\n`);
}

/** The engine's address is the last argument of every plugin. */
export const engineAddress = (): string => process.argv.at(-1) ?? "";

export interface Logger {
  /** A passing status, shown beside the resource while it is worked on. */
  status(urn: string, message: string): void;
  /** A message that stays. */
  info(urn: string, message: string): void;
  /** A warning that stays. */
  warn(urn: string, message: string): void;
}

export function engineLogger(): Logger {
  const client = new EngineClient(engineAddress(), grpc.credentials.createInsecure(), channelOptions);
  const send = (severity: LogSeverity, ephemeral: boolean) => (urn: string, message: string) => {
    const request = new LogRequest();
    request.setSeverity(severity);
    request.setMessage(message);
    request.setUrn(urn);
    request.setEphemeral(ephemeral);
    client.log(request, () => {}); // an engine that is gone needs no messages
  };
  return {
    status: send(LogSeverity.INFO, true),
    info: send(LogSeverity.INFO, false),
    warn: send(LogSeverity.WARNING, false),
  };
}
