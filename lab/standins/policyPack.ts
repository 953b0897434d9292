/**
 * Runs a policy pack for an engine that configures a pack once it serves. The packs of the Node.js SDK are configured
 * by their environment instead, so another server comes first and starts the pack when the engine has told it all.
 */
import type { ChildProcess } from "node:child_process";
import { AnalyzerService } from "@pulumi/pulumi/proto/analyzer_grpc_pb";
import { AnalyzerStackConfigureRequest } from "@pulumi/pulumi/proto/analyzer_pb";
import { connectPlugin, type Plugin } from "./rpc/client";
import { serveInBytes } from "./rpc/server";

/** The stack that a pack works for, as the SDK's settings read it. */
function stackEnvironment(request: AnalyzerStackConfigureRequest): NodeJS.ProcessEnv {
  return {
    PULUMI_NODEJS_ORGANIZATION: request.getOrganization(),
    PULUMI_NODEJS_PROJECT: request.getProject(),
    PULUMI_NODEJS_STACK: request.getStack(),
    PULUMI_NODEJS_DRY_RUN: String(request.getDryRun()),
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().getEntryList())),
  };
}

export interface PolicyPack {
  /** Where the engine finds it. */
  readonly port: number;
  stop(): void;
}

/**
 * @param start - starts the pack's process for a stack, its stdout a pipe.
 * @param onLine - is given what the pack prints.
 */
export async function servePolicyPack(
  start: (stack: NodeJS.ProcessEnv) => ChildProcess,
  onLine: (line: string) => void,
): Promise<PolicyPack> {
  let pack: Promise<Plugin> | undefined;
  const run = (stack: NodeJS.ProcessEnv): Promise<Plugin> => connectPlugin(start(stack), onLine);
  const { port, stop } = await serveInBytes(AnalyzerService, async (call, request) => {
    switch (call) {
      case AnalyzerService.handshake.path:
        return Buffer.alloc(0);
      case AnalyzerService.configureStack.path:
        pack ??= run(stackEnvironment(AnalyzerStackConfigureRequest.deserializeBinary(request)));
        await pack;
        return Buffer.alloc(0);
      default: // a pack that is asked what it is, with no stack, is not configured before
        pack ??= run({});
        return (await pack).call(call, request);
    }
  });
  return {
    port,
    stop() {
      stop();
      pack?.then((started) => started.stop()).catch(() => {});
    },
  };
}
