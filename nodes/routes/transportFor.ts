/**
 * Chooses the transport for the access to nodes that the settings give.
 * It never opens a connection.
 */
import type { Access } from "../protocol/spec";
import { throughBastion } from "./bastion";
import { type JumpboxAccess, type Transport, direct } from "./transport";

/**
 * A further kind of access is a further case here.
 *
 * @param jumpbox - How a pod is reached; needed where the access is through one.
 */
export function transportFor(access: Access, jumpbox?: (access: JumpboxAccess) => Transport): Transport {
  switch (access.kind) {
    case "direct":
      return direct;
    case "bastion":
      return throughBastion(access);
    case "jumpbox":
      if (!jumpbox) throw new Error("no API is given to reach the pod by");
      return jumpbox(access);
  }
}
