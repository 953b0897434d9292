/** The problems that settings can have. */
import { defineProblems } from "../support/errors";

export const configProblem = defineProblems("Settings", {
  "bad-setting": {
    cause: "The setting has a value of the wrong shape, or one that does not go with another setting.",
    /** The schema has a text for each setting. */
    remedy: (shape: string) => shape,
    examples: [
      [
        "bastion.hostKey",
        "it is ‹value›",
        "Give the bastion's host key as `ssh-keygen -lf` prints it: SHA256: and 43 characters",
      ],
    ],
  },
  "not-text": {
    cause:
      "Pulumi makes a number of digits, and a truth value of `true` and `false`: those that stand without quotes in a settings file, and those that `pulumi config set --path` is given.",
    /** The schema has a text for each setting. */
    remedy: (shape: string, setting: string) =>
      `${shape}. To keep it text, write it in quotes in the stack's settings file, or run: pulumi config set --path --type string '${setting}' VALUE`,
    examples: [
      ["deployment.env.PORT", "it is a number", "Give the variable's value as text", "deployment.env.PORT"],
      [
        "registries[0].host",
        "it is 10.5, a number",
        "Give the registry as image names do",
        "registries[0].host",
      ],
    ],
  },
  "unknown-setting": {
    cause: "Unknown names are refused, since a misspelt setting would otherwise have no effect, in silence.",
    remedy: (known: readonly string[], meant?: string) =>
      meant === undefined
        ? `Remove it, or use one of: ${known.join(", ")}`
        : `Write \`${meant}\`, if that is what is meant, or remove it`,
    examples: [
      ["registries[0].hots", "there is no such setting", ["host", "ca", "credentials"], "host"],
      ["registries[0].insecure", "there is no such setting", ["host", "ca", "credentials"]],
    ],
  },
  "settings-file": {
    cause:
      "Pulumi refuses the file, or would leave out a part of it. `npm run check:settings` says it before Pulumi does.",
    remedy: "Correct the file",
    examples: [
      ["settings file", "line ‹n›: a key is there twice"],
      ["settings file", "line ‹n›: a second document begins, which Pulumi leaves out"],
    ],
  },
  "unknown-at-preview": {
    cause:
      "A preview has to know what it plans with. The value comes from a resource of the same program, which is not made yet.",
    remedy:
      "Make that resource first, with `pulumi up --target`, or run `pulumi up --skip-preview`, in which it is made before it is needed",
    examples: [
      [
        "RegistryTrust ‹name›: registries[0].ca.pem",
        "a resource gives it that is not made yet, so that nothing can be planned",
      ],
    ],
  },
  "secret-in-clear": {
    cause:
      "A password was set without `--secret`, so it is in clear in a file that others can read and that version control keeps.",
    remedy: (setting: string, names: readonly string[]) =>
      `Change ${names.length > 1 ? "each password" : "the password"} where it is valid, then set the new one encrypted: ${names
        .map((name) => `pulumi config set --secret --path '${setting}["${name}"]'`)
        .join(" && ")}`,
    examples: [["passwords", "it is kept in clear in the stack's settings file", "passwords", ["HOST"]]],
  },
});
