/** The protocol between node commands and the running program: the socket's path and the messages. */
import * as path from "node:path";
import type { Environment } from "../protocol/environment";
import { nodeVariables } from "../protocol/spec";
import { nodeProblem } from "../problems";

/** Separates a command's stderr from its stdout in a response. Neither contains this line. */
export const separator = "--- stdout\n";

/** Three of the id's five groups are left out, as a socket's path has a limit. */
const folderName = (id: string): string => `tkc-registry-${id.split("-").slice(0, 2).join("-")}`;

/** The shell command that the state records. The client's path depends on `TKC_REGISTRY_ID` alone. */
export function serviceCommand(words: string): string {
  return `"\${PULUMI_HOME:-$HOME/.pulumi}/tkc-registry-\${TKC_REGISTRY_ID%-*-*-*}/client" ${words}`;
}

/**
 * The folder with the socket and the client, where {@link serviceCommand} looks for it: in Pulumi's own folder, which
 * the engine's plugins know by the same variables.
 *
 * @throws UserError `service-folder`
 */
export function serviceFolder(id: string, { PULUMI_HOME, HOME }: Environment): string {
  if (PULUMI_HOME) return path.join(PULUMI_HOME, folderName(id));
  if (HOME) return path.join(HOME, ".pulumi", folderName(id));
  throw nodeProblem.error(
    "service-folder",
    { subject: "HOME", seen: "neither it nor PULUMI_HOME is set" },
    "unset",
  );
}

/** Leads to the socket of the program that serves: the only one that clients look for. */
export const link = "socket";

/** Writes a command's environment as the client does: as a form. */
export function formatEnvironment(environment: Environment): string {
  return new URLSearchParams(
    nodeVariables.flatMap((name) => {
      const value = environment[name];
      return value ? [[name, value]] : [];
    }),
  ).toString();
}

/** Reads what a client sent: `/v1/ca/apply`, and the command's environment. */
export function parseCommand(url: string, body: string): { words: string; environment: Environment } {
  const form = new URLSearchParams(body);
  const environment = Object.fromEntries(nodeVariables.map((name) => [name, form.get(name) ?? undefined]));
  return { words: url.replace(/^\/v1\//, "").replaceAll("/", " "), environment };
}
