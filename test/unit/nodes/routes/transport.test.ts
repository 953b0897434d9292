import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { classifyNode, classifyPod, dialErrorOf, relayWords } from "../../../../nodes/routes/transport";
import { lastWords } from "../../../../support/text";

describe("what ended a connection", () => {
  it("is told in the words of what failed", () => {
    for (const [stderr, words] of [
      [
        `bash: connect: Connection refused\nrelay: line 9: /dev/tcp/10.0.0.1/22: Connection refused\n`,
        "connect: Connection refused",
      ],
      [`tkc-registry-relay: no-tool\n`, "tkc-registry-relay: no-tool"],
      ["", ""],
    ] as const) {
      assert.equal(relayWords(stderr), words);
    }
  });

  const relayed: readonly (readonly [string, string])[] = [
    [
      "refused",
      "bash: line 9: connect: Connection refused\nbash: line 9: /dev/tcp/10.0.0.1/22: Connection refused",
    ],
    ["refused", "nc: can't connect to remote host (10.0.0.1): Connection refused"],
    ["refused", "nc: connect to 10.0.0.1 port 22 (tcp) failed: Connection refused"],
    ["timeout", "tkc-registry-relay: Connection timed out"],
    ["unreachable", "bash: connect: No route to host\nbash: /dev/tcp/10.0.0.1/22: No route to host"],
    ["no-tool", "tkc-registry-relay: no-tool"],
    [
      "no-tool",
      'OCI runtime exec failed: exec failed: unable to start container process: exec: "sh": executable file not found in $PATH',
    ],
    ["container-missing", "container ubuntu is not valid for pod jumpbox-ubuntu"],
    [
      "container-missing",
      'Internal error occurred: unable to upgrade connection: container not found ("ubuntu")',
    ],
    ["pod-not-running", "pod jumpbox-ubuntu does not have a host assigned"],
  ];
  for (const [reason, said] of relayed) {
    it(`is "${reason}": ${said.split("\n")[0] ?? ""}`, () =>
      assert.equal(classifyPod(said) ?? classifyNode(said), reason));
  }

  it("is told by the system's error where there is no relay", () => {
    const reason = (code: string): string => dialErrorOf(Object.assign(new Error(code), { code })).reason;
    assert.deepEqual(["ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND", "ECONNRESET"].map(reason), [
      "refused",
      "timeout",
      "unreachable",
      "unreachable",
      "lost",
    ]);
  });
});

describe("the words of others", () => {
  it("are shown on one line, printable and bounded", () => {
    assert.equal(lastWords("one\n\u001b[31mtwo\r\n\nthree\nfour\n"), "?[31mtwo; three; four");
    assert.ok(lastWords("x".repeat(10_000)).length <= 301);
  });
});
