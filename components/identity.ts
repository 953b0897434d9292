import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { readIdentity } from "../state/records";
import { printableError } from "./sdk";

/**
 * The id under which a set of nodes, and what is made for it, is known: made once, and kept in the state.
 *
 * Its inputs never change, and its `update` repeats what was made. A random input, or a resource's own id, would differ
 * from what a saved plan says.
 */
export class Identity {
  /** A UUID; unknown in the preview of the first run. */
  readonly id: pulumi.Output<string>;

  /**
   * @param name - Of the set of nodes.
   * @param whenKnown - What an update does with the id before anything else gets it.
   */
  constructor(name: string, whenKnown: (id: string) => Promise<void>, opts?: pulumi.CustomResourceOptions) {
    const made = new command.local.Command(
      `${name}-identity`,
      {
        create: `node -e "process.stdout.write(require('crypto').randomUUID())"`,
        update: `printf %s "$PULUMI_COMMAND_STDOUT"`,
        logging: command.local.Logging.Stderr,
      },
      opts,
    );
    this.id = made.stdout.apply(async (stdout) => {
      try {
        const id = readIdentity(`${name}-identity`, stdout);
        if (!pulumi.runtime.isDryRun()) await whenKnown(id);
        return id;
      } catch (error) {
        throw printableError(error);
      }
    });
  }
}
