import { readFileSync } from "node:fs";

/** The version of an installed SDK package: what its stand-in plugin reports, and what the official one must match. */
export function sdkVersion(name: "pulumi" | "kubernetes" | "command"): string {
  const file = require.resolve(`@pulumi/${name}/package.json`);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
