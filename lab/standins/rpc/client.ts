/** A provider's program, run and called as the engine does. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import { channelOptions } from "./server";

export type Answer =
  | { readonly response: Buffer }
  /** As the plugin gave it, and in the form `Code: text`. */
  | { readonly failure: grpc.ServiceError; readonly error: string };

export interface Plugin {
  /** Calls a method of `pulumirpc.ResourceProvider`, in bytes. */
  call(method: string, request: Uint8Array): Promise<Answer>;
  stop(): void;
}

const bytes = (value: Uint8Array): Buffer => Buffer.from(value);

/** @param argv - the program; it is given the engine's address as its last argument. */
export async function startPlugin(
  argv: readonly [program: string, ...args: string[]],
  options: { readonly engine: string; readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
): Promise<Plugin> {
  const [program, ...args] = argv;
  const child = spawn(program, [...args, options.engine], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await new Promise<string>((resolve, reject) => {
    child.on("error", reject).on("exit", () => reject(new Error(`${program} ended before it served`)));
    createInterface(child.stdout).once("line", resolve);
  });
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), channelOptions);
  return {
    call: (method, request) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          `/pulumirpc.ResourceProvider/${method}`,
          bytes,
          bytes,
          request,
          (failure, response) =>
            resolve(failure ? { failure, error: errorText(failure) } : { response: response! }),
        );
      }),
    stop() {
      client.close();
      child.kill();
    },
  };
}

function errorText({ code, details }: grpc.ServiceError): string {
  const name = grpc.status[code]
    .toLowerCase()
    .replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
  return `${name}: ${details}`;
}
