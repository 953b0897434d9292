import assert from "node:assert/strict";
import { test } from "node:test";
import { type PodTemplate, podSpec } from "../../../plan/podTemplate";

const template: PodTemplate = {
  app: "web",
  image: "harbor.example/ns1/web:1",
  command: [],
  args: [],
  port: 80,
  probe: "tcp",
  runAsUser: 101,
  writablePaths: ["/tmp"],
  env: { A: "1" },
  resources: { requests: {}, limits: {} },
  imagePullSecrets: ["pull"],
};

test("a port below 1024 is opened to the pod's user, others need nothing", () => {
  assert.deepEqual(podSpec(template).securityContext.sysctls, [
    { name: "net.ipv4.ip_unprivileged_port_start", value: "0" },
  ]);
  assert.equal("sysctls" in podSpec({ ...template, port: 8080 }).securityContext, false);
});

test("the image's own command, arguments and readiness stay unless others are given", () => {
  const [own] = podSpec(template).containers;
  assert.equal("command" in own!, false);
  assert.equal("args" in own!, false);
  assert.deepEqual(own!.readinessProbe, { tcpSocket: { port: 80 } });
  const [other] = podSpec({ ...template, command: ["sleep"], args: ["1"], probe: "none" }).containers;
  assert.deepEqual([other!.command, other!.args], [["sleep"], ["1"]]);
  assert.equal("readinessProbe" in other!, false);
});
