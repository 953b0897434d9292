/** The problems of files and of the program itself. Every room throws them. */
import { defineProblems } from "./errors";

export const supportProblem = defineProblems("Files and the program", {
  "missing-setting": {
    cause: "The setting has no default, and the stack's settings file does not have it.",
    /** The schema has a text for each setting. */
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
    cause: "A file that a setting or an option names is much larger than any file of its kind.",
    remedy: "Give the path of the right file",
    examples: [["registries[0].ca", "the file ‹absolute› is larger than ‹max bytes› bytes"]],
  },
  "stale-build": {
    cause:
      "The program runs from `dist/`, and its sources have changed since it was compiled, for example by `git pull`.",
    remedy: "Run `npm run build`, then try again",
    examples: [["dist/", "the compiled program is older than its sources"]],
  },
});
