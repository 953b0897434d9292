import * as assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
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

const id = "5d1b5d2e-0f0c-4d6f-9a3e-2f7c1b1f0a11";
const otherId = "5d1b5d2e-0f0d-4d6f-9a3e-2f7c1b1f0a11";

describe("what node commands and program have agreed upon", () => {
  it("is the same place, by the id and whatever folder Pulumi has", () => {
    const command = serviceCommand("ca apply");
    const homes = [
      { HOME: "/home/me" },
      { HOME: "/home/me", PULUMI_HOME: "/srv/pulumi" },
      { HOME: "/home/me", PULUMI_HOME: "" },
    ];
    for (const home of homes) {
      const expanded = execFileSync("/bin/sh", ["-c", `printf '%s ' ${command}`], {
        encoding: "utf8",
        env: { ...home, TKC_REGISTRY_ID: id },
      });
      assert.equal(expanded, `${path.join(serviceFolder(id, home), "client")} ca apply `);
    }
    assert.notEqual(serviceFolder(id, homes[0]!), serviceFolder(otherId, homes[0]!));
    assert.throws(() => serviceFolder(id, {}), UserError);
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
