/**
 * Puts the stand-ins where the Pulumi engine looks for the official programs: the language host beside the CLI, the
 * plugins in the plugin folder of the lab's own PULUMI_HOME. No other Pulumi on the machine ever sees them.
 */
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { replaceFile } from "../wholeFiles";
import { quote } from "../shell";
import { sdkVersion } from "./versions";

/** Writes a program that runs one of our TypeScript files, whatever the working directory. */
function writeProgram(file: string, source: string): void {
  const loader = pathToFileURL(require.resolve("tsx")).href;
  const command = [process.execPath, "--import", loader, path.join(__dirname, source)].map(quote).join(" ");
  replaceFile(file, `#!/bin/sh\nexec ${command} "$@"\n`, 0o755);
}

/** @param folder - the folder of the `pulumi` executable. */
export function installLanguageHost(folder: string): void {
  writeProgram(path.join(folder, "pulumi-language-nodejs"), "languageNodejs.ts");
}

/** @param plugins - the folder `plugins` of a PULUMI_HOME of the lab's own. */
export function installPlugins(plugins: string): void {
  for (const [name, source] of [
    ["kubernetes", "kubernetes/provider.ts"],
    ["command", "command.ts"],
  ] as const) {
    // The engine takes a plugin of the SDK's own version without a warning.
    const folder = path.join(plugins, `resource-${name}-v${sdkVersion(name)}`);
    writeProgram(path.join(folder, `pulumi-resource-${name}`), source);
  }
}
