import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { UserError } from "../errors";
import { type CaReport, parseCaReport } from "../nodes/report";

/** What the state holds of a node. */
export interface RecordedNode {
  readonly uid: string;
  /** The host key that it showed, `SHA256:…`. */
  readonly hostKey: string;
  /** The nonce of its last installation. */
  readonly nonce: string;
}

/** What the state held when this run began. */
export interface LastRun {
  /** The name of the stack's own jumpbox pod. */
  readonly jumpbox: string | undefined;
  /** By node name. */
  readonly nodes: ReadonlyMap<string, RecordedNode>;
}

const resources = z.record(z.string(), z.object({ type: z.string(), outputs: z.unknown() }));
const nodeOutputs = z.object({
  stdout: z.string(),
  environment: z.object({ TKC_REGISTRY_NONCE: z.string() }),
});
const podOutputs = z.object({ metadata: z.object({ name: z.string() }) });

/** A report that this release can't read is no reason to fail: the node is then looked after as a new one. */
function readReport(stdout: string): CaReport | undefined {
  try {
    return parseCaReport(stdout);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Reads what the engine says of the stack's resources, by URN. */
export function readLastRun(answer: unknown): LastRun {
  const nodes = new Map<string, RecordedNode>();
  let jumpbox: string | undefined;
  for (const { type, outputs } of Object.values(resources.parse(answer))) {
    if (type === "command:local:Command") {
      const found = nodeOutputs.safeParse(outputs).data;
      const report = found && readReport(found.stdout);
      if (!report) continue;
      const { uid, hostKey } = report;
      nodes.set(report.node, { uid, hostKey, nonce: found.environment.TKC_REGISTRY_NONCE });
    } else if (type === "kubernetes:core/v1:Pod") {
      jumpbox = podOutputs.safeParse(outputs).data?.metadata.name;
    }
  }
  return { jumpbox, nodes };
}

/** Asks the engine for the state of the running stack, as the last run left it. */
export async function lastRun(): Promise<LastRun> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  // What `StackReference` asks for is the stack's outputs, which a run that failed has not set.
  const { outputs } = (await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {
    stackName,
  })) as { outputs: unknown };
  return readLastRun(outputs);
}
