/**
 * Names that several rooms use, and the syntax of names.
 * Nothing here looks a name up.
 */
import * as z from "zod";

/** The name of a Kubernetes object. It becomes part of paths and arguments, so it has no `/` and no leading `-`. */
export const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "is not the name of an object");

/** A name that people choose freely, such as that of a kubeconfig context: one line, since it becomes an argument. */
export const freeName = z
  .string()
  .min(1)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u, "is not a name of one line");

/**
 * Values of labels are at most 63 characters of `[A-Za-z0-9_.-]` and begin and end with a letter or digit. The readable
 * name of a stack is one.
 */
export const labelValue = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** On our objects: the id of the set of nodes that they were made for. */
export const idLabel = "tkc-registry/id";

const hostNamePattern = /^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?$/;

/** Whether this has the shape of a host's name. */
export const isHostName = (text: string): boolean => hostNamePattern.test(text);

/** The name of the jumpbox pod's container. */
export const jumpboxContainer = "ubuntu";

/**
 * A variable of the jumpbox's container, with the UID of the lost pod that this one replaces. The engine replaces the
 * pod when it changes.
 */
export const replacesVariable = "TKC_REGISTRY_REPLACES_POD";
