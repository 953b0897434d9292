/** What `pulumi preview --json` prints of a stack with PULUMI_ENABLE_STREAMING_JSON_PREVIEW, in the shape of v3.259.0. */
import { PreviewReader } from "../../../../cli/review/preview";
import type { Preview } from "../../../../cli/review/preview";
import { type NodeChange, formatChange, reason } from "../../../../plan/reasons";

export const stackUrn = "urn:pulumi:prod::tkc-registry::pulumi:pulumi:Stack::tkc-registry-prod";
const prefix = "urn:pulumi:prod::tkc-registry::";
const types = {
  trust: "tkc-registry:index:RegistryTrust",
  nodes: "tkc-registry:index:RegistryTrust$tkc-registry:index:TrustedNodes",
  node: "tkc-registry:index:RegistryTrust$tkc-registry:index:TrustedNodes$tkc-registry:index:TrustedNode",
} as const;
export const trustUrn = `${prefix}${types.trust}::trust`;
export const nodesUrn = `${prefix}${types.nodes}::trust`;
export const nodeUrn = (name: string): string => `${prefix}${types.node}::trust-${name}`;

/** What the engine prints in place of a secret. */
export const blinded = {
  "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
  ciphertext: "[secret]",
};
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

interface State {
  readonly inputs?: object;
  readonly outputs?: object;
  readonly retainOnDelete?: boolean;
}

/** The events of one resource. */
export function resource(
  urn: string,
  {
    op = "same",
    parent = stackUrn,
    before,
    after,
  }: { op?: string; parent?: string; before?: State; after?: State },
): object[] {
  const type = urn.split("::")[2]!.split("$").at(-1)!;
  const state = (of: State | undefined): object | null =>
    of ? { type, urn, id: "", parent, inputs: {}, outputs: {}, provider: "", ...of } : null;
  const metadata = { op, urn, type, old: state(before), new: state(after), detailedDiff: null, provider: "" };
  return [
    { resourcePreEvent: { metadata, planning: true } },
    { resOutputsEvent: { metadata, planning: true } },
  ];
}

export const ca = (letter: string, host = "harbor.example.com") => ({
  registry: host,
  sha256: letter.repeat(64),
});
export const told = ({ registry, sha256 }: ReturnType<typeof ca>, notAfter = "2036-01-01T00:00:00.000Z") => ({
  host: registry,
  source: "harbor getcert v2",
  certificates: [{ sha256, subject: `CN=CA ${sha256[0]!}`, notAfter }],
});

/** A node's resources. */
export function node(
  name: string,
  options: {
    readonly op?: "same" | "create" | "update" | "delete";
    readonly change?: Partial<NodeChange>;
  } = {},
): object[] {
  const { op = "same", change } = options;
  const urn = nodeUrn(name);
  const own = { inputs: { node: name } };
  const environment = (nonce: string) => ({
    inputs: {
      create: "…",
      environment: { TKC_REGISTRY_NODE: name, TKC_REGISTRY_NONCE: nonce, OTHER: blinded },
    },
  });
  const old = op === "create" ? {} : { before: own };
  const now = op === "delete" ? {} : { after: own };
  const component = op === "update" ? "same" : op;
  const command = (kind: string): object[] =>
    resource(`${prefix}${types.node}$command:local:Command::trust-${name}-${kind}`, {
      ...{ op, parent: urn },
      ...(op === "create" ? {} : { before: environment("before") }),
      ...(op === "delete" ? {} : { after: environment(op === "same" ? "before" : "after") }),
    });
  const line = change && {
    diagnosticEvent: {
      urn,
      message: `${formatChange({ node: name, role: "worker", turn: 1, reasons: [reason("new-ca")], action: "install", restart: change.action === undefined || change.action === "install", ...change })}\n`,
      color: "never",
      severity: "info",
    },
  };
  return [
    ...resource(urn, { op: component, parent: nodesUrn, ...old, ...now }),
    ...(line ? [line] : []),
    ...command("ca"),
    ...command("containerd"),
  ];
}

/** The set of nodes, with the certificates before and after. */
export function nodes(before: readonly object[] | undefined, after: readonly object[]): object[] {
  return resource(nodesUrn, {
    op: before ? "same" : "create",
    parent: trustUrn,
    ...(before ? { before: { inputs: { certificates: before } } } : {}),
    after: { inputs: { certificates: after } },
  });
}

export const warning = (message: string, urn = stackUrn): object => ({
  diagnosticEvent: { urn, prefix: "warning: ", message: `${message}\n`, color: "never", severity: "warning" },
});

export const deployment = (
  images: { before?: string; after?: string },
  { op = "update", annotations = {} }: { op?: string; annotations?: object } = {},
): object[] => {
  const state = (image: string) => ({
    inputs: {
      metadata: { namespace: "web", name: "web", annotations },
      spec: { template: { spec: { containers: [{ image, env: [{ name: "TOKEN", value: "in-clear" }] }] } } },
    },
  });
  return resource(
    `${prefix}tkc-registry:index:RegistryDeployment$kubernetes:apps/v1:Deployment::deployment`,
    {
      op,
      ...(images.before === undefined ? {} : { before: state(images.before) }),
      ...(images.after === undefined ? {} : { after: state(images.after) }),
    },
  );
};

export const secret = (op: string, states: { before?: State; after?: State }): object[] =>
  resource(`${prefix}tkc-registry:index:PullSecret$kubernetes:core/v1:Secret::pull-secret-web`, {
    op,
    ...states,
  });
export const placed = (annotations: object = {}) => ({
  inputs: { metadata: { namespace: "web", name: "pull", annotations }, data: blinded },
});

/** A whole preview, as lines. */
export const lines = (...events: readonly object[][]): string[] =>
  [
    { preludeEvent: { config: { "tkc-registry:namespace": "ns1" } } },
    { diagnosticEvent: { message: "RegisterResource RPC prepared\n", color: "never", severity: "debug" } },
    ...events.flat(),
    { summaryEvent: { resourceChanges: { same: 1 }, isPreview: true, result: "succeeded" } },
    { cancelEvent: {} },
  ].map((event, sequence) => JSON.stringify({ sequence, timestamp: 1795801044, ...event }));

export function preview(...events: readonly object[][]): Preview {
  const reader = new PreviewReader("prod");
  for (const line of lines(...events)) reader.add(line);
  return reader.read();
}
