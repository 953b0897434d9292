/**
 * One stack a cluster: `npx tsx up.ts clusters.json [--destroy]`. At most four run at once, each in processes of its own, and
 * one table at the end tells how each went. A cluster that fails leaves the others alone.
 */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { LocalWorkspace } from "@pulumi/pulumi/automation";
import pLimit from "p-limit";

interface Fleet {
  readonly registries: readonly object[];
  readonly clusters: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly access?: string;
  }[];
}

const [file = "clusters.json", ...options] = process.argv.slice(2);
const destroy = options.includes("--destroy");
const fleet = JSON.parse(readFileSync(file, "utf8")) as Fleet;
const atOnce = pLimit(4);

/** What an error tells first: the program's own message, and of several problems the first. */
function toldBy(text: string): string {
  const [, message = text.split("\n")[0]!] = /^ *error: (.*(?:\n +1\. .*)?)/m.exec(text) ?? [];
  return message.replace(/\s+/g, " ");
}

async function run({ access = "jumpbox", ...cluster }: Fleet["clusters"][number]): Promise<string[]> {
  const stackName = `${cluster.namespace}.${cluster.name}`;
  const started = Date.now();
  const row = (result: string, changes: string): string[] => [
    stackName,
    result,
    changes,
    `${Math.round((Date.now() - started) / 1000)} s`,
  ];
  try {
    // Not an inline program: that one would share this process, and so one cluster's failure, with all others.
    const workDir = path.join(__dirname, "cluster");
    const stack = await LocalWorkspace.createOrSelectStack({ stackName, workDir });
    await stack.setAllConfig({
      cluster: { value: JSON.stringify(cluster) },
      registries: { value: JSON.stringify(fleet.registries) },
      access: { value: access },
    });
    const { summary } = destroy ? await stack.destroy() : await stack.up();
    const changes = Object.entries(summary.resourceChanges ?? {}).map(
      ([change, count]) => `${count} ${change}`,
    );
    return row("done", changes.join(", "));
  } catch (error) {
    process.exitCode = 1;
    return row("failed", toldBy(error instanceof Error ? error.message : String(error)));
  }
}

void (async () => {
  const total = fleet.clusters.length;
  let ended = 0;
  const rows = await Promise.all(
    fleet.clusters.map((cluster) =>
      atOnce(async () => {
        const row = await run(cluster);
        process.stderr.write(`${++ended} of ${total}: ${row[0]} ${row[1]}\n`);
        return row;
      }),
    ),
  );
  const table = [["cluster", "result", "changes", "time"], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    );
})();
