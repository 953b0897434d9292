/** What keeps nodes from reaching a registry. */
import { defineProblems } from "../../support/errors";

/** The end of the remedy where nodes need not reach a registry yet. */
const orLater = (setting: string): string => `If the registry comes later, set \`${setting}: false\``;

export const reachProblem = defineProblems("Registries as nodes see them", {
  "node-registry-unresolved": {
    cause:
      "The nodes have other name servers than this machine, and these do not know the registry, or the proxy that containerd's unit names.",
    remedy: {
      direct: (setting: string) =>
        `No node was touched. Have the nodes' name servers know the name. ${orLater(setting)}`,
      proxy: (setting: string) =>
        `No node was touched. Correct HTTPS_PROXY of the unit containerd.service, or name the registry in its NO_PROXY. ${orLater(setting)}`,
    },
    examples: [
      [
        "node ‹name›",
        "the name of ‹registry› is not resolved there",
        "direct",
        "registries[0].requireReachable",
      ],
      [
        "nodes ‹name›, ‹name› and 38 more",
        "the name of the proxy ‹proxy› (set for containerd, for ‹registry›) is not resolved there",
        "proxy",
        "registries[0].requireReachable",
      ],
    ],
  },
  "node-registry-unreachable": {
    cause:
      "A firewall or a missing route is between the nodes and the registry, or their proxy; or it does not run. That this machine reaches it says nothing of the nodes.",
    remedy: {
      direct: (setting: string) =>
        `No node was touched. Have the nodes' network let them through to the registry, or name a proxy in the unit containerd.service. ${orLater(setting)}`,
      proxy: (setting: string) =>
        `No node was touched. Correct HTTPS_PROXY of the unit containerd.service, or name the registry in its NO_PROXY. ${orLater(setting)}`,
    },
    examples: [
      [
        "node ‹name›",
        "the connection to ‹registry› is refused there",
        "direct",
        "registries[0].requireReachable",
      ],
      [
        "node ‹name›",
        "the proxy ‹proxy› (set for containerd, for ‹registry›) does not answer there within 10 s",
        "proxy",
        "registries[0].requireReachable",
      ],
    ],
  },
  "node-registry-proxy": {
    cause: "containerd's unit names a proxy, and that does not let the nodes through to the registry.",
    remedy: {
      login: (setting: string) =>
        `No node was touched. Give the proxy's user and password in HTTPS_PROXY of the unit containerd.service, or name the registry in its NO_PROXY. ${orLater(setting)}`,
      rule: (setting: string) =>
        `No node was touched. Have the proxy let the nodes through, or name the registry in NO_PROXY of the unit containerd.service. ${orLater(setting)}`,
    },
    examples: [
      [
        "node ‹name›",
        "the proxy ‹proxy› (set for containerd, for ‹registry›) answers 407 to a connection to the registry",
        "login",
        "registries[0].requireReachable",
      ],
      [
        "node ‹name›",
        "the proxy ‹proxy› (set for containerd, for ‹registry›) answers 403 to a connection to the registry",
        "rule",
        "registries[0].requireReachable",
      ],
    ],
  },
  "node-registry-no-tls": {
    cause:
      "Something answers the nodes at the registry's address that is no HTTPS server, or something in between cuts the connection.",
    remedy: (setting: string) =>
      `No node was touched. Find out what answers there: the name may mean another address to the nodes. ${orLater(setting)}`,
    examples: [["node ‹name›", "‹registry› does not answer in TLS there", "registries[0].requireReachable"]],
  },
  "node-registry-other-chain": {
    cause:
      "By the registry's name the nodes reach another server than this machine, or something in between answers in its place: a proxy that looks into TLS, or an impostor.",
    remedy: (setting: string) =>
      `No node was touched. Find out what answers there; if a proxy looks into TLS, name the registry in NO_PROXY of the unit containerd.service. ${orLater(setting)}`,
    examples: [
      [
        "node ‹name›",
        "‹registry› shows there the certificate ‹subject› (issued by ‹issuer›, SHA-256 ‹SHA-256›), and to this machine another one (SHA-256 ‹SHA-256›); with the CA that is to be installed containerd would refuse it: ‹reason›",
        "registries[0].requireReachable",
      ],
    ],
  },
});
