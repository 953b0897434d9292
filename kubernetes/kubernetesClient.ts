/**
 * What is used of `@kubernetes/client-node`, named one by one so that the bundle leaves the rest out. Reading it takes
 * time, so this file is imported when a cluster is first asked.
 */
export {
  ApisApi,
  AppsV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  ResponseContext,
  SelfDecodingBody,
  ServerConfiguration,
  createConfiguration,
  dumpYaml,
  loadYaml,
  setHeaderOptions,
  wrapHttpLibrary,
} from "@kubernetes/client-node";
