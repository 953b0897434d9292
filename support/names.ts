/** Names that several rooms give and read, and the shapes that names have. */
import { z } from "zod";

/** The name of a Kubernetes object, which becomes part of paths and arguments: never an option, nor a path. */
export const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "is not the name of an object");

/** The name of a kubeconfig context, or what else people choose freely and is an argument: one line. */
export const freeName = z
  .string()
  .min(1)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u, "is not a name of one line");

const hostNamePattern = /^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?$/;

/** Whether this has the shape of a host's name. */
export const isHostName = (text: string): boolean => hostNamePattern.test(text);

/** The name of the jumpbox pod's container. */
export const jumpboxContainer = "ubuntu";

/**
 * A variable of the jumpbox's container: the UID of the pod that it was made in place of, as that one is gone. A pod
 * whose container changes is replaced.
 */
export const replacesVariable = "TKC_REGISTRY_REPLACES_POD";
