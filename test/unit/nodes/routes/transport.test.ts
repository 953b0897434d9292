import * as assert from "node:assert/strict";
import { describe, it } from "node:test";
import { classifyKubectl } from "../../../../kubernetes/kubectl";
import { classifyRelay, dialErrorOf, relayWords } from "../../../../nodes/routes/transport";
import { lastWords } from "../../../../support/text";

describe("what ended a connection", () => {
  it("is told in the words of what failed, not of kubectl", () => {
    const status =
      '{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code"}';
    for (const [stderr, words] of [
      [
        `bash: connect: Connection refused\nrelay: line 9: /dev/tcp/10.0.0.1/22: Connection refused\n${status}`,
        "connect: Connection refused",
      ],
      [`tkc-registry-relay: no-tool\n${status}`, "tkc-registry-relay: no-tool"],
      ["", "it ended without a word"],
      [status, "it ended without a word"],
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
    [
      "refused",
      "nc: connect to 10.0.0.1 port 22 (tcp) failed: Connection refused\ncommand terminated with exit code 1",
    ],
    ["timeout", "tkc-registry-relay: Connection timed out\ncommand terminated with exit code 137"],
    ["unreachable", "bash: connect: No route to host\nbash: /dev/tcp/10.0.0.1/22: No route to host"],
    ["no-tool", "tkc-registry-relay: no-tool\ncommand terminated with exit code 69"],
    [
      "no-tool",
      'OCI runtime exec failed: exec failed: unable to start container process: exec: "sh": executable file not found in $PATH',
    ],
    ["pod-missing", 'Error from server (NotFound): pods "exec-box" not found'],
    [
      "container-missing",
      "Error from server (BadRequest): container ubuntu is not valid for pod jumpbox-ubuntu",
    ],
    [
      "container-missing",
      'error: Internal error occurred: unable to upgrade connection: container not found ("ubuntu")',
    ],
    ["pod-not-running", "Error from server (BadRequest): pod jumpbox-ubuntu does not have a host assigned"],
    [
      "api-unreachable",
      "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
    ],
    [
      "api-unreachable",
      "Unable to connect to the server: dial tcp 10.0.0.1:6443: connect: connection refused",
    ],
    ["login-expired", "error: You must be logged in to the server (Unauthorized)"],
    ["relay-failed", ""],
  ];
  for (const [reason, stderr] of relayed) {
    it(`is "${reason}": ${stderr.split("\n")[0] ?? ""}`, () => assert.equal(classifyRelay(stderr), reason));
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

describe("kubectl's words", () => {
  it("keep apart a missing context, an expired login, a missing right and a missing object", () => {
    assert.deepEqual(
      [
        'error: context "ns1" does not exist',
        "error: You must be logged in to the server (the server has asked for the client to provide credentials)",
        'Error from server (Forbidden): nodes "n" is forbidden: User "u" cannot get resource "nodes"',
        'Error from server (NotFound): nodes "n" not found',
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "error: something new",
      ].map(classifyKubectl),
      [
        "context-missing",
        "login-expired",
        "forbidden",
        "not-found",
        "api-unreachable",
        "api-unreachable",
        "failed",
      ],
    );
  });

  it("are shown on one line, printable and bounded", () => {
    assert.equal(lastWords("one\n\u001b[31mtwo\r\n\nthree\nfour\n"), "?[31mtwo; three; four");
    assert.ok(lastWords("x".repeat(10_000)).length <= 301);
  });
});
