import assert from "node:assert/strict";
import { test } from "node:test";
import { renewLogin } from "../../../kubernetes/contexts";

test("the command that renews logins names only contexts that have other names than the defaults", () => {
  const named = { namespace: "ns1", cluster: "c1" };
  const command = "npm run login -- --server 10.0.0.1 --namespace ns1 --cluster c1";
  const server = "https://10.0.0.1:6443";
  assert.equal(renewLogin(named, {}, server), command);
  assert.equal(renewLogin(named, { supervisorContext: "ns1", clusterContext: "c1" }, server), command);
  assert.equal(
    renewLogin(named, { supervisorContext: "b ns1", clusterContext: "b-c1" }, server),
    `${command} --supervisor-context 'b ns1' --cluster-context b-c1`,
  );
});
