/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- the client's models are shapes: it takes literals */
import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readPull } from "../../../kubernetes/pullPods";

type Status = NonNullable<Parameters<typeof readPull>[0]["status"]>;
const container = (state: object, more: object = {}, pod: object = {}): Status =>
  ({ phase: "Pending", containerStatuses: [{ state, imageID: "", ...more }], ...pod }) as unknown as Status;
const waiting = (reason: string, message?: string): Status => container({ waiting: { reason, message } });
const read = (status: Status | undefined) => readPull(status ? { status } : {});

describe("a pod's status", () => {
  it("tells that the image was pulled, whatever became of the container then", () => {
    for (const status of [
      container({ running: {} }),
      container({ terminated: { reason: "Completed", exitCode: 0 } }),
      container({ terminated: { reason: "StartError", exitCode: 128 } }),
      ...["CreateContainerError", "CreateContainerConfigError", "RunContainerError", "CrashLoopBackOff"].map(
        (reason) => waiting(reason),
      ),
      container({ waiting: { reason: "ContainerCreating" } }, { imageID: "sha256:1" }),
    ])
      assert.deepEqual(read(status), { kind: "pulled" });
  });

  it("tells why it could not be, in the kubelet's words", () => {
    const message = "failed to pull: x509: certificate signed by unknown authority";
    assert.deepEqual(read(waiting("ErrImagePull", message)), { kind: "failed", message, bare: false });
    assert.deepEqual(read(waiting("ImagePullBackOff", 'Back-off pulling image "x"')), {
      kind: "failed",
      message: 'Back-off pulling image "x"',
      bare: true,
    });
    const newer = `Back-off pulling image "x": ErrImagePull: ${message}`;
    assert.deepEqual(read(waiting("ImagePullBackOff", newer)), {
      kind: "failed",
      message: newer,
      bare: false,
    });
    assert.deepEqual(read(waiting("InvalidImageName")), {
      kind: "failed",
      message: "InvalidImageName",
      bare: true,
    });
  });

  it("tells of a pod that the kubelet did not take, or ended too early", () => {
    assert.deepEqual(read({ phase: "Failed", reason: "OutOfpods", message: "too many" }), {
      kind: "failed",
      message: "OutOfpods: too many",
      bare: false,
    });
    const ended = { phase: "Failed", reason: "DeadlineExceeded" };
    assert.deepEqual(read(container({ terminated: { reason: "ContainerStatusUnknown" } }, {}, ended)), {
      kind: "failed",
      message: "DeadlineExceeded",
      bare: false,
    });
  });

  it("is open until then", () => {
    assert.equal(read(undefined).kind, "open");
    assert.equal(read({ phase: "Pending" }).kind, "open");
    assert.deepEqual(read(waiting("ContainerCreating")), { kind: "open", message: "ContainerCreating" });
  });
});
