/**
 * Has nodes look at the registries before anything is written on any of them: those that are to be installed, since to
 * ask the others would cost a run with nothing to do.
 */
import type { InspectedNode, Observation } from "../nodes/operations/inspection";
import { askNodesForRegistries } from "../nodes/operations/inspection";
import {
  type Finding,
  type NodeSights,
  type WantedRegistry,
  judgeSights,
  lookAtRegistries,
  tellFindings,
} from "../nodes/operations/reach";
import type { StackIdentity } from "../nodes/protocol/spec";
import type { InSession } from "../nodes/ssh/pool";
import type { Session } from "../nodes/ssh/session";
import { parseRegistryHost } from "../registry/host";
import type { TrustSettings } from "../config/settings";
import { UserError } from "../support/errors";
import type { AskedNode, NodePlan } from "./nodes";
import type { NodeChange, ReasonCode } from "./reasons";
import type { Registry } from "./registries";

/** The reasons that say nothing of what is on a node: its CA may be in order. */
const withoutWriting: ReadonlySet<ReasonCode> = new Set([
  ...(["script-changed", "settings-changed", "registry-removed"] as const),
  ...(["first-contact", "not-asked", "in-order", "no-longer-in-cluster", "excluded"] as const),
]);

/** Whether a node gets a CA, or its containerd a restart. */
export const isInstalled = ({ action, reasons }: NodeChange): boolean =>
  action === "install" && reasons.some(({ code }) => !withoutWriting.has(code));

/** Whether a node may come to trust another CA, or its containerd restart: else only what is recorded of it changes. */
export const changesNode = (change: NodeChange): boolean =>
  isInstalled(change) || (change.action === "install" && change.restart !== false);

/** The registries, as nodes are to see them. */
export function wantedRegistries(
  registries: readonly Registry[],
  { setting }: TrustSettings,
): readonly WantedRegistry[] {
  return registries.map(
    ({ settings: { host, requireReachable }, ca: { certificates, served }, subject }, at) => ({
      ...{ host, served, required: requireReachable },
      hostname: parseRegistryHost(host, { subject }).hostname,
      ca: certificates.map(({ pem }) => pem),
      setting: setting(`registries[${at}].requireReachable`),
    }),
  );
}

/** A node, and what is to be done there once it has answered. */
interface AskedForRegistries extends Pick<AskedNode, "target" | "hostKey"> {
  readonly decision: Promise<Pick<NodePlan, "change">>;
}

/** The nodes' look at the registries, once a run. */
export class RegistryReach {
  readonly #answers = new Map<string, readonly Finding[]>();
  /** By what was seen. */
  readonly #judged = new Map<string, readonly Finding[]>();
  #warnings: Promise<readonly string[]> | undefined;

  /**
   * @param observed - What is known of the nodes; undefined where they are not inspected.
   */
  constructor(
    private readonly nodes: readonly AskedForRegistries[],
    private readonly registries: readonly WantedRegistry[],
    private readonly observed: ReadonlyMap<string, Promise<Observation>> | undefined,
    private readonly options: { readonly inSession: InSession; readonly stack: StackIdentity },
  ) {}

  /**
   * Asks all nodes that are to be installed and can be reached, side by side, the first time that it is called.
   *
   * @returns What is only told.
   * @throws UserError with the problems of all nodes.
   */
  readonly all = (): Promise<readonly string[]> => (this.#warnings ??= this.#askAll());

  /**
   * Asks one node in its session, where it did not answer before.
   *
   * @returns What is only told of it.
   * @throws UserError with its problems.
   */
  readonly one = async (
    asked: Pick<InspectedNode, "target">,
    session: Session,
  ): Promise<readonly string[]> => {
    const { name } = asked.target;
    const answer = this.#answers.get(name);
    // Where the plan waits for the nodes, it tells what they answered.
    if (answer) return this.observed ? [] : refuseOrTell(new Map([[name, answer]]));
    const node = this.nodes.find(({ target }) => target.name === name);
    if (!node || !isInstalled((await node.decision).change)) return [];
    const { stack } = this.options;
    const sights = await lookAtRegistries(session, { ...asked, stack }, this.#hosts());
    return refuseOrTell(new Map([[name, this.#judge(sights)]]));
  };

  async #askAll(): Promise<readonly string[]> {
    await Promise.all(this.nodes.map((node) => this.#ask(node)));
    const names = this.nodes.map(({ target }) => target.name);
    return refuseOrTell(new Map(names.map((name) => [name, this.#answers.get(name) ?? []])));
  }

  async #ask(node: (typeof this.nodes)[number]): Promise<void> {
    const { target, hostKey } = node;
    const seen = await this.observed?.get(target.name);
    if (seen?.kind === "silent" || !isInstalled((await node.decision).change)) return;
    const { inSession, stack } = this.options;
    const asked = askNodesForRegistries([{ target, hostKey, stack }], this.#hosts(), inSession);
    const sights = await asked.get(target.name);
    if (sights) this.#answers.set(target.name, this.#judge(sights));
  }

  /** Judges once what many nodes see alike: to read a chain as Go does takes some ten milliseconds. */
  #judge(sights: NodeSights): readonly Finding[] {
    const seen = sights.map(({ chain, ...others }) => [others, chain.map((der) => der.toString("base64"))]);
    const key = JSON.stringify(seen);
    const judged = this.#judged.get(key) ?? judgeSights(sights, this.registries);
    this.#judged.set(key, judged);
    return judged;
  }

  readonly #hosts = (): readonly string[] => this.registries.map(({ host }) => host);
}

function refuseOrTell(found: ReadonlyMap<string, readonly Finding[]>): readonly string[] {
  const {
    problems: [first, ...rest],
    warnings,
  } = tellFindings(found);
  if (first) throw new UserError(first, ...rest);
  return warnings;
}
