/**
 * Explains failed connections on machines that have a proxy.
 * It never uses the proxy.
 */
import { isIP } from "node:net";
import * as ipaddr from "ipaddr.js";
import type { Endpoint } from "./https";

const variables = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/** The variable that would have curl, and Go's programs, use a proxy for this host. */
export function proxyVariable(
  endpoint: Endpoint,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  const name = variables.find((variable) => environment[variable]);
  const exceptions = environment["no_proxy"] ?? environment["NO_PROXY"] ?? "";
  return exceptions.split(/[\s,]+/).some((entry) => covers(entry, endpoint)) ? undefined : name;
}

/**
 * Connections are direct, like those of the nodes: the chain to trust is the registry's, not that of a proxy of this
 * machine. So a connection may fail here although curl, which uses the proxy, succeeds.
 *
 * @returns A sentence for the end of a message, empty if no proxy applies to this host. It never repeats the
 * variable's value, which may have a password.
 */
export function unusedProxy(endpoint: Endpoint, environment: NodeJS.ProcessEnv = process.env): string {
  const name = proxyVariable(endpoint, environment);
  return name === undefined
    ? ""
    : ` (${name} is set, and is not used: nodes reach the registry without this machine's proxy, so this does too)`;
}

/** Whether an entry of `no_proxy` covers the host. It is `*`, a host or host:port, a domain, an address or a range. */
function covers(entry: string, { hostname, port }: Endpoint): boolean {
  const [, host = "", only] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
  if (isIP(entry) !== 0) return entry === hostname;
  if (host === "" || (only !== undefined && Number(only) !== port)) return false;
  if (host === "*" || host === hostname) return true;
  if (isIP(hostname) === 0) return hostname.endsWith(host.startsWith(".") ? host : `.${host}`);
  if (!ipaddr.isValidCIDR(host)) return false;
  const address = ipaddr.parse(hostname);
  const [network, prefix] = ipaddr.parseCIDR(host);
  return address.kind() === network.kind() && address.match(network, prefix);
}
