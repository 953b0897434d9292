import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseChallenges } from "../../../registry/answers";

describe("a registry's challenge", () => {
  it("is read with its parameters, also where there are several", () => {
    assert.deepEqual(
      parseChallenges(
        'Bearer realm="https://h/service/token",service="harbor-registry",scope="repository:a/b:pull,push"',
      ),
      [
        {
          scheme: "bearer",
          parameters: {
            realm: "https://h/service/token",
            service: "harbor-registry",
            scope: "repository:a/b:pull,push",
          },
        },
      ],
    );
    assert.deepEqual(parseChallenges('Negotiate, Basic realm="a \\"b\\"", Bearer realm=x'), [
      { scheme: "basic", parameters: { realm: 'a "b"' } },
      { scheme: "bearer", parameters: { realm: "x" } },
    ]);
    assert.deepEqual(parseChallenges(""), []);
  });
});
