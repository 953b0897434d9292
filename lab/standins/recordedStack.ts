/**
 * The program of which `npm run lab -- record` makes a record: commands that between them do all that
 * `command:local:Command` can, changed from stage to stage.
 */
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

const stage = Number(process.env.STAGE);
const from = <T>(first: number, before: T, after: T): T => (stage < first ? before : after);
const at = <T>(stages: readonly number[], then: T, otherwise: T): T =>
  stages.includes(stage) ? then : otherwise;

const plain = new local.Command("plain", { create: "echo out; echo err >&2", delete: "echo gone" });
new local.Command("depends", { create: pulumi.interpolate`printf '%s' ${plain.stdout}` });
new local.Command("trailing", { create: "printf 'a\\n\\n\\n'" });
new local.Command("stdin", { create: "cat", stdin: from(2, "first\nlines\n", "second") });
new local.Command("dir", { create: "pwd; ls", dir: "sub" });
new local.Command("interpreter", {
  create: "process.stdout.write('node ' + process.env.B)",
  environment: { B: "b" },
  interpreter: ["node", "-e"],
});

new local.Command("log-stdout", { create: "echo shown; echo hidden >&2", logging: "stdout" });
new local.Command("log-stderr", { create: "echo hidden; echo shown >&2", logging: "stderr" });
new local.Command("log-none", { create: "echo hidden; echo hidden >&2", logging: "none" });

new local.Command("create-only", {
  create: `printf 'created %s (%s)' "$A" "$PULUMI_COMMAND_STDOUT"`,
  environment: { A: from(1, "one", "two") },
});
new local.Command("update-in-place", {
  create: `printf 'created %s' "$A"`,
  update: `printf 'updated %s was %s' "$A" "$PULUMI_COMMAND_STDOUT"`,
  delete: `printf 'deleted %s' "$PULUMI_COMMAND_STDOUT"`,
  environment: { A: from(1, "one", "two") },
});
new local.Command("no-previous", {
  addPreviousOutputInEnv: false,
  create: `printf 'c[%s]' "\${PULUMI_COMMAND_STDOUT-unset}"`,
  update: `printf 'u[%s]' "\${PULUMI_COMMAND_STDOUT-unset}"`,
  environment: { N: String(Math.min(stage, 2)) },
});
// More than a pipe holds, in lines that the plugin can log.
new local.Command("large", {
  create: "for i in 1 2 3 4 5 6 7 8 9; do head -c 6000 /dev/zero | tr '\\0' x; echo; done",
  update: `printf '%s' "$PULUMI_COMMAND_STDOUT" | wc -c`,
  environment: { L: from(1, "1", "2") },
});
new local.Command("replaced", {
  create: "echo made",
  delete: "echo removed",
  triggers: [from(1, 1, 2), "x"],
});
new local.Command(
  "ignored",
  { create: "echo $I", environment: { I: String(stage) } },
  { ignoreChanges: ["environment.I"] },
);
new local.Command("secret-env", {
  addPreviousOutputInEnv: from(3, true, false),
  create: `printf '%s' "$S" | wc -c`,
  environment: { S: pulumi.secret("hidden") },
});
new local.Command("delete-env", {
  create: "true",
  delete: `printf '%s|%s' "$D" "$PULUMI_COMMAND_STDOUT"; exit 0`,
  environment: { D: `d'"$x\n2` },
});

new local.Command("not-found", { create: at([1, 6], "no-such-program-at-all", "true") });
new local.Command("fails-update", {
  create: "echo fine",
  update: "echo bad >&2; exit 4",
  environment: { U: at([2], "2", "1") },
});
new local.Command("fails-delete", { create: "true", delete: from(6, "echo stays >&2; exit 5", "true") });
if (at([1, 2], true, false))
  new local.Command("failing", { create: from(2, "echo partial; echo wrong >&2; exit 3", "echo mended") });
if (stage === 3) new local.Command("killed", { create: "kill -9 $$" });
