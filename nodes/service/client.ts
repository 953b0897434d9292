/**
 * The client of the node service, for machines without curl: script/client.sh falls back to it.
 * It never works on a node, and never changes what the service answers.
 */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { Environment } from "../protocol/environment";
import { shortestPath } from "./privateFolder";
import { formatEnvironment, link, separator } from "./serviceProtocol";
import { nodeProblem } from "../problems";

/**
 * Sends a command to the running program. Copies its log to stderr, and fails if it failed.
 *
 * @returns The command's stdout.
 * @throws UserError `service-gone`
 */
export async function callService(words: string, environment: Environment): Promise<string> {
  const folder = environment.TKC_REGISTRY_SERVICE ?? ".";
  const { status, body } = await post(folder, words, formatEnvironment(environment)).catch(
    (error: unknown) => {
      throw nodeProblem.error("service-gone", {
        subject: `command "${words}"`,
        seen: `the program that runs the stack does not answer (${(error as Error).message})`,
      });
    },
  );
  const at = body.indexOf(separator);
  process.stderr.write(body.slice(0, Math.max(at, 0)));
  if (status === 200) return body.slice(at + separator.length);
  process.exitCode = 1;
  return "";
}

function post(folder: string, words: string, input: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        socketPath: shortestPath(folder, link),
        path: `/v1/${words.replaceAll(" ", "/")}`,
        method: "POST",
        agent: false,
      },
      (response) => {
        text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
      },
    );
    asked.on("error", reject);
    asked.end(input);
  });
}
