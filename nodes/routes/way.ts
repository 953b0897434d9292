/**
 * Chooses the transport for the access to nodes that the settings give.
 * It never opens a connection.
 */
import type { Access } from "../protocol/spec";
import { throughBastion } from "./bastion";
import { type JumpboxAccess, type Transport, direct, throughKubectl } from "./transport";

/**
 * A further kind of access is a further case here.
 *
 * @param jumpbox - How a pod is reached: by `kubectl`, unless the caller has something better.
 */
export function transportFor(
  access: Access,
  jumpbox: (access: JumpboxAccess) => Transport = throughKubectl,
): Transport {
  switch (access.kind) {
    case "direct":
      return direct;
    case "bastion":
      return throughBastion(access);
    case "jumpbox":
      return jumpbox(access);
  }
}
