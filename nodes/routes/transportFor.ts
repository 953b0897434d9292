/**
 * Chooses the transport for the `access` that the settings give.
 * It never opens a connection.
 */
import type { Access } from "../protocol/spec";
import { throughBastion } from "./bastion";
import { type JumpboxAccess, type Transport, direct } from "./transport";

/**
 * @param jumpbox - Creates the transport through a pod. Required for jumpbox access.
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
