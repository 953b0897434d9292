import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { RemovalArgs } from "../plan/nodeCommand";
import { dependencies, withoutDependencies } from "./options";
import { type AllNodesArgs, allNodesEnvironment } from "./trustedNode";

/** Arguments of {@link RemovalCheck}. */
export interface RemovalCheckArgs extends AllNodesArgs {
  /** How the certificates are removed. */
  readonly removal: RemovalArgs;
}

/**
 * Checks a `destroy` before it takes anything down. It must depend on everything else of the stack: made last, it is
 * deleted first, and its delete refuses while everything is still there. Making it does nothing.
 */
export class RemovalCheck extends pulumi.ComponentResource {
  constructor(name: string, args: RemovalCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    const { unreachable } = args.removal;
    const passedOver = unreachable === "fail" ? [] : ["--unreachable", unreachable];
    super("tkc-registry:index:RemovalCheck", name, {}, withoutDependencies(opts));
    new command.local.Command(
      name,
      {
        create: "true",
        delete: ["node -e \"require('tkc-registry/run')\" v1 check-removal", ...passedOver].join(" "),
        environment: allNodesEnvironment(args),
        logging: command.local.Logging.Stderr,
      },
      { parent: this, dependsOn: dependencies(opts) },
    );
    this.registerOutputs({});
  }
}
