/**
 * Integration tests that run in the lane `fleet` of the first stage, behind its own files, where the end-to-end tests run
 * too: that lane ends long before the other one, which mostly waits. They need nothing of the lab.
 */
export const behindTheFleet: readonly string[] = [
  "integration/nodes/script/script",
  "integration/nodes/script/scriptCertsD",
  "integration/cli/nodeCommands",
];

/**
 * The order of the end-to-end test files, by name without `.test.ts`. The stages run one after the other, the lanes of a
 * stage side by side: while one waits for restarts, pods and timeouts, the other has the processors. Files may be in two
 * lanes where neither changes what the other looks at.
 */
export const stages: readonly Readonly<Record<string, readonly string[]>>[] = [
  {
    // The cluster's nodes, the registries and their authorities, the jumpbox `jumpbox-ubuntu`.
    nodes: [
      "1-stack",
      "3-manual",
      "4-input",
      "5-canary",
      "5-variants",
      "6-verify",
      "6-upgrade",
      "6-identity",
      "6-clones",
      "6-leaks",
      "7-life",
      "9-consumer",
      "9-environment",
    ],
    // The fleet's nodes, with a jumpbox and authorities of their own. The login is first: it shortens the life of tokens
    // for a moment, long before the other lane logs in anew.
    fleet: ["2-login", "7-fleet", "7-review", "7-waves"],
  },
  // The examples need both clusters. The others change what every stack needs: the operator's logins, the lab as a whole.
  { alone: ["9-examples", "8-cluster", "8-bench", "8-lab"] },
];
