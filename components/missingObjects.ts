import type * as pulumi from "@pulumi/pulumi";
import { type Problem, UserError } from "../support/errors";
import { printableError } from "./sdk";

/** Fails the run if an object still has the UID of a missing one: the engine did not recreate it. */
export function failOnMissing(
  uids: readonly pulumi.Output<string>[],
  missing: readonly { readonly uid: string; readonly problem: Problem }[],
): void {
  for (const uid of uids) {
    uid.apply((now) => {
      const found = missing.find((each) => each.uid === now);
      if (found) throw printableError(new UserError(found.problem)) as Error;
    });
  }
}
