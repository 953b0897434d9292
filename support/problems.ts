/** What every room may find wrong. */
import { defineProblems } from "./errors";

export const supportProblem = defineProblems("Files and the program", {
  "missing-setting": {
    cause: "The setting has no default, and the stack's settings file does not have it.",
    /** The setting's own words. */
    remedy: (shape: string) => shape,
    examples: [
      ["namespace", "it is missing", "Give the vSphere namespace of the cluster"],
      [
        "registries[0].ca.sha256",
        "it is missing",
        "Give `sha256`, the fingerprint of the CA, or `trustOnFirstUse: true`",
      ],
    ],
  },
  "file-unreadable": {
    cause: "A file that a setting or an option names is missing, or the user who runs this may not read it.",
    remedy: "Correct the path, or the file's permissions",
    examples: [["registries[0].ca", "the file ‹absolute› ‹what›"]],
  },
  "file-too-large": {
    cause: "A file that a setting or an option names is much larger than one of its kind ever is.",
    remedy: "Give the path of the right file",
    examples: [["registries[0].ca", "the file ‹absolute› is larger than ‹max bytes› bytes"]],
  },
  "stale-build": {
    cause:
      "What runs is the compiled program; its sources were changed, by an update of the repository for one.",
    remedy: "Run `npm run build`, then try again",
    examples: [["dist/", "the compiled program is older than its sources"]],
  },
});
