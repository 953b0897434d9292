/** Makes executables of the stand-ins. No Pulumi on the machine but the lab's own ever sees them. */
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { labFolder } from "../paths";
import { replaceFile } from "../wholeFiles";
import { quote } from "../shell";

/** Not below the tools: these are of this checkout and this Node.js, and are written anew as often as those change. */
const folder = path.join(labFolder, "standins");

/** An executable that runs one of the TypeScript files beside this one, whatever the working directory. */
export function standInProgram(name: string, source: string): string {
  const loader = pathToFileURL(require.resolve("tsx")).href;
  const command = [process.execPath, "--import", loader, path.join(__dirname, source)].map(quote).join(" ");
  const file = path.join(folder, name);
  replaceFile(file, `#!/bin/sh\nexec ${command} "$@"\n`, 0o755);
  return file;
}
