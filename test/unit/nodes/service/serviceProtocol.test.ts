import * as assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { nodeVariables } from "../../../../nodes/protocol/spec";
import {
  formatEnvironment,
  parseCommand,
  serviceCommand,
  serviceFolder,
} from "../../../../nodes/service/serviceProtocol";
import { packageRoot } from "../../../../support/build";
import { UserError } from "../../../../support/errors";

describe("what node commands and program have agreed upon", () => {
  it("is the same place, by the stack and whatever folder Pulumi has", () => {
    const command = serviceCommand("p.s", "ca apply");
    const homes = [
      { HOME: "/home/me" },
      { HOME: "/home/me", PULUMI_HOME: "/srv/pulumi" },
      { HOME: "/home/me", PULUMI_HOME: "" },
    ];
    for (const home of homes) {
      const expanded = command.replace(
        "${PULUMI_HOME:-$HOME/.pulumi}",
        home.PULUMI_HOME || `${home.HOME}/.pulumi`,
      );
      assert.equal(expanded, `"${path.join(serviceFolder("p.s", home), "client")}" ca apply`);
    }
    assert.notEqual(serviceFolder("p.s", homes[0]!), serviceFolder("p.t", homes[0]!));
    assert.throws(() => serviceFolder("p.s", {}), UserError);
  });

  it("is every variable of a node command, and no other", () => {
    const values = fc.string({ unit: "grapheme", minLength: 1 });
    const environments = fc.dictionary(fc.constantFrom(...nodeVariables), values);
    fc.assert(
      fc.property(environments, (environment) => {
        const sent = formatEnvironment({ ...environment, PATH: "/bin", TKC_REGISTRY_VCENTER_PASSWORD: "x" });
        const { words, environment: read } = parseCommand("/v1/ca/apply", sent);
        assert.equal(words, "ca apply");
        for (const name of nodeVariables) assert.equal(read[name], environment[name]);
        assert.ok(Object.keys(read).every((name) => nodeVariables.some((known) => known === name)));
      }),
    );
    const { environment } = parseCommand("/v1/ca/apply", "PATH=/bin&TKC_REGISTRY_NODE=a%3Db&x&=&__proto__=y");
    assert.equal(environment["TKC_REGISTRY_NODE"], "a=b");
    assert.equal(environment["PATH"], undefined);
  });

  it("is what the client sends", () => {
    const client = readFileSync(path.join(packageRoot, "nodes/script/client.sh"), "utf8");
    const names = /for name in ([\s\S]*?); do/.exec(client)![1]!.replaceAll("\\\n", " ").trim().split(/\s+/);
    assert.deepEqual([...names].sort(), [...nodeVariables].sort());
  });
});
