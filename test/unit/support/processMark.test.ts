import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { it } from "node:test";
import { hasEnded, processMark } from "../../../support/processMark";

const skip = process.platform !== "linux" && "needs /proc";

it("a process is known to have ended only where its PID means the same process here", { skip }, async () => {
  const own = processMark()!;
  assert.equal(hasEnded(own), false);
  const [boot, namespace, pid, started] = own.split(" ") as [string, string, string, string];
  // Its PID is another process's by now.
  assert.equal(hasEnded([boot, namespace, pid, `${started}1`].join(" ")), true);
  assert.equal(hasEnded([boot, "pid:[1]", pid, `${started}1`].join(" ")), false);
  assert.equal(hasEnded(["other-boot", namespace, pid, `${started}1`].join(" ")), false);
  for (const mark of ["", "x", `${boot} ${namespace} 0x1 1`, `${boot} ${namespace} -1 1`])
    assert.equal(hasEnded(mark), false, mark);

  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  const its = [boot, namespace, child.pid, started].join(" ");
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(hasEnded(its), true);
});
