import assert from "node:assert/strict";
import { test } from "node:test";
import { withConfigPath } from "../../../lab/inspect";

const configuration = 'version = 2\n\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "a"\n';
const folder = "/etc/containerd/certs.d";

test("the folder of registries' settings is added to a containerd's configuration, and nothing else changes", () => {
  const changed = withConfigPath(configuration, folder);
  assert.ok(changed.startsWith(configuration));
  assert.match(
    changed,
    /\[plugins\."io\.containerd\.grpc\.v1\.cri"\.registry\]\n {2}config_path = "\/etc\/containerd\/certs\.d"\n$/,
  );
});

test("the folder of registries' settings is replaced and taken away without a trace", () => {
  const changed = withConfigPath(configuration, folder);
  assert.equal(withConfigPath(withConfigPath(configuration, "/other"), folder), changed);
  assert.equal(withConfigPath(changed, undefined), configuration);
  assert.equal(withConfigPath(configuration, undefined), configuration);
});
