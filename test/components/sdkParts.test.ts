import assert from "node:assert/strict";
import { describe, it } from "node:test";
import "../../components/sdkParts";
import * as pulumi from "@pulumi/pulumi";

/** Whether a file of a package was loaded. */
const loaded = (name: string): boolean =>
  Object.keys(require.cache).some((file) => file.includes(`/node_modules/${name}/`));

describe("parts of the SDK that no run uses", () => {
  it("are not loaded with the SDK", () => {
    assert.ok(loaded("@pulumi/pulumi"));
    for (const name of ["typescript", "@npmcli/arborist", "normalize-package-data", "execa", "got"])
      assert.ok(!loaded(name), name);
  });

  it("are there for who uses them", async () => {
    const { text } = await pulumi.runtime.serializeFunction(() => 42);
    assert.match(text, /=> ?42/);
    assert.ok(loaded("typescript"));
    assert.equal(typeof pulumi.automation.LocalWorkspace.createStack, "function");
    assert.ok("LocalWorkspace" in pulumi.automation);
    assert.ok(loaded("execa"));
    const paths = await pulumi.runtime.computeCodePaths({ extraIncludePaths: ["support/names.ts"] });
    assert.ok(paths.has("support/names.ts"));
    assert.ok(loaded("@npmcli/arborist"));
  });
});
