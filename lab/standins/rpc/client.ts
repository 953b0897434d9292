/** A plugin's program, run and called as the engine does. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import { channelOptions } from "./server";

export interface Plugin {
  readonly address: string;
  /** Makes a call in bytes, by its path, such as `/pulumirpc.ResourceProvider/Check`. */
  call(path: string, request: Uint8Array): Promise<Buffer>;
  stop(): void;
}

const bytes = (value: Uint8Array): Buffer => Buffer.from(value);

/**
 * Waits until a plugin serves, and connects to it.
 *
 * @param child - its stdout must be a pipe.
 * @param onLine - is given what the plugin prints after its port.
 */
export async function connectPlugin(
  child: ChildProcess,
  onLine: (line: string) => void = () => {},
): Promise<Plugin> {
  const lines = createInterface(child.stdout!);
  const port = await new Promise<string>((resolve, reject) => {
    child.on("error", reject).on("exit", () => reject(new Error("the plugin ended before it served")));
    lines.once("line", (line) => {
      lines.on("line", onLine);
      if (/^\d+$/.test(line)) resolve(line);
      else reject(new Error(`the plugin printed ${JSON.stringify(line)} before its port`));
    });
  });
  const address = `127.0.0.1:${port}`;
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), channelOptions);
  return {
    address,
    call: (path, request) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, bytes, bytes, request, (error, response) =>
          error ? reject(error) : resolve(response!),
        );
      }),
    stop() {
      client.close();
      child.kill();
    },
  };
}
