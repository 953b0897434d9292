/** The problems of files and of the program itself. Every room throws them. */
import { defineProblems } from "./errors";

/** By default the engine's folder is the one that the program of the Automation API was started in. */
const inlineFolder =
  "An inline program of the Automation API names its own folder instead: as `workDir`, with a Pulumi.yaml in it, or as `main` in its `projectSettings`";

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
  "package-not-found": {
    cause:
      "The state's commands name the package, as paths differ between machines. The engine runs them in the project's folder, also when no program runs.",
    remedy: {
      absent: `Run \`npm install tkc-registry\` in that folder. ${inlineFolder}`,
      other: `Install the same release in that folder. ${inlineFolder}`,
    },
    examples: [
      [
        "folder ‹folder›",
        "commands that the engine runs there do not find the package tkc-registry",
        "absent",
      ],
      [
        "folder ‹folder›",
        "commands that the engine runs there find tkc-registry ‹release›, and the program runs ‹release›",
        "other",
      ],
    ],
  },
});
