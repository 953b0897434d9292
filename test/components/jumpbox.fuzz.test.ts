import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { Jumpbox } from "../../components/jumpbox";
import { packageRoot } from "../../support/build";
import { hostileArgument, runs } from "../fuzz";
import { record } from "./mocks";

test("the jumpbox pod runs the same words whatever cluster, secret, image and stack are called", async () => {
  const folder = path.join(packageRoot, "nodes", "script", "jumpbox");
  const [key, client, wait] = ["1-key.sh", "2-client.sh", "3-wait.sh"].map((name) =>
    readFileSync(path.join(folder, name), "utf8"),
  ) as [string, string, string];
  const script = key + client + wait;
  // The kubelet writes variables out in a container's words, as `$(NAME)`.
  assert.ok(!script.includes("$("));
  const args = fc.record({
    ...{
      name: hostileArgument,
      namespace: hostileArgument,
      image: hostileArgument,
      cluster: hostileArgument,
    },
    ...{ id: fc.uuid(), owner: hostileArgument, replaces: fc.option(hostileArgument, { nil: undefined }) },
    ...{ pullSecret: fc.option(hostileArgument, { nil: undefined }), install: fc.boolean() },
  });
  await fc.assert(
    fc.asyncProperty(args, async (given) => {
      const registered = await record(() => new Jumpbox("jumpbox", given));
      const pod = [...registered.values()].find(({ type }) => type === "kubernetes:core/v1:Pod")!;
      const { containers, volumes } = pod.inputs["spec"] as {
        containers: { command: string[]; args?: string[]; env?: object[]; lifecycle?: object }[];
        volumes: { secret?: { secretName: string } }[];
      };
      assert.equal(containers.length, 1);
      const [{ command, args: words, lifecycle, env }] = containers as [(typeof containers)[number]];
      assert.deepEqual(
        [command, words, lifecycle],
        [["/bin/sh", "-c", given.install ? script : key + wait], undefined, undefined],
      );
      assert.equal(volumes[0]?.secret?.secretName, `${given.cluster}-ssh`);
      assert.equal(env?.length, given.replaces === undefined ? undefined : 1);
    }),
    runs("jumpbox"),
  );
});
