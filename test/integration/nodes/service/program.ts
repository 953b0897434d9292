/** A program that starts and stops a node service as it is told by the lines of its stdin, for service.test.ts. */
import { createInterface } from "node:readline";
import { Outcomes } from "../../../../nodes/service/outcomes";
import { NodeService } from "../../../../nodes/service/service";
import { UserError } from "../../../../support/errors";

const never = (): Promise<never> => Promise.reject(new Error("there is no node"));
let service: NodeService | undefined;

async function obey(line: string): Promise<string> {
  if (line === "stop") {
    await service?.close();
    service = undefined;
    return "stopped";
  }
  try {
    service = await NodeService.start({
      stack: { owner: "demo.dev", id: process.env["TKC_REGISTRY_ID"]! },
      ...{
        nodes: [],
        readyTimeout: 1,
        certificates: new Map(),
        unreachable: "fail",
        outcomes: new Outcomes(),
      },
      ...{
        inSession: never,
        readNode: never,
        notePin: never,
        pullOnCanary: never,
        controlPlane: { list: never, takeTurn: never },
        reach: { all: never, one: never },
      },
    });
    return "started";
  } catch (error) {
    return error instanceof UserError ? error.problems[0]!.code : String(error);
  }
}

createInterface(process.stdin)
  .on("line", (line) => void obey(line).then((answer) => console.log(answer)))
  .on("close", () => process.exit(0));
console.log("ready");
