/** What can be wrong with the state. */
import { defineProblems } from "../support/errors";

export const stateProblem = defineProblems("State of the stack", {
  "state-unreadable": {
    cause: "The state was written by another release of tkc-registry, or was edited.",
    remedy: {
      release: "Use the release of tkc-registry that made the stack, or a newer one",
      engine: "Use a release of the Pulumi CLI that package.json's @pulumi/pulumi goes with",
    },
    examples: [
      ["stack ‹name›", "what `pulumi stack export` printed is not a stack's state", "release"],
      ["the stack's state", "what the engine says of it is not understood", "engine"],
    ],
  },
  "stack-not-deployed": {
    cause: "The stack was never brought up, was destroyed, or is of another project.",
    remedy: "Run `pulumi up` first, or name the stack that was deployed",
    examples: [["stack ‹name›", "nothing is deployed"]],
  },
  "stack-mixed": {
    cause:
      "The cluster's context was changed, and the run that should have told all nodes did not come to its end.",
    remedy: "Run `pulumi up` again",
    examples: [
      [
        "stack ‹name›",
        "its nodes were reached by different contexts of the cluster, as an update did not come to its end",
      ],
    ],
  },
  "pending-operations": {
    cause: "A run was killed while it made something, or one is under way.",
    remedy: "Wait for it to end, or run `pulumi up` again",
    examples: [
      ["stack ‹name›", "its state has ‹number› pending operations: a run was cut off, or one is under way"],
    ],
  },
});
