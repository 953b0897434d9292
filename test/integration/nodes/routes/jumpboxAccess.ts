import type { JumpboxAccess } from "../../../../nodes/routes/transport";

/** The jumpbox pod of the manual procedure's own example. */
export const jumpboxAccess: JumpboxAccess = {
  kind: "jumpbox",
  context: "ns1",
  namespace: "ns1",
  pod: "jumpbox-ubuntu",
  container: "ubuntu",
};
