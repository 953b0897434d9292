/** What can go wrong with the lab and with its benchmark. */
import { defineProblems } from "../support/errors";

const goInstall = "Install Go (https://go.dev/dl) so that `go` is on PATH, then try again";
/** What helps against all that a moment brings about. */
const goOn = "Run it again: it goes on from here. If it fails again, `npm run lab -- down` and begin anew";

export const labProblem = defineProblems("The lab", {
  "lab-not-up": {
    cause: "The command needs a lab that is up.",
    remedy: "Bring it up: `npm run lab -- up`",
    examples: [["lab", "it is not up"]],
  },
  "lab-busy": {
    cause: "One command at a time changes the lab.",
    remedy: "Wait until it has ended, then try again",
    examples: [["lab", "‹command› is changing it"]],
  },
  "lab-in-use": {
    cause: "The end-to-end tests make a lab of their own, and one machine holds one lab.",
    remedy: "Take it down (`npm run lab -- down`), or leave the end-to-end tests out (`npm run test:fast`)",
    examples: [["lab", "it is up, with stacks of yours: ‹names›"]],
  },
  "lab-in-use-by-tests": {
    cause: "The end-to-end tests use a lab of their own in this folder, between their changes of it too.",
    remedy: "Wait until the tests have ended: they take the lab down",
    examples: [["lab", "a run of the end-to-end tests (process ‹pid›) is using it"]],
  },
  "lab-elsewhere": {
    cause: "Another copy of the repository has its lab up.",
    remedy: "Take it down there (`npm run lab -- down`), or use it; one machine holds one lab at a time",
    examples: [["lab", "another lab is up on this machine: that of ‹folder›"]],
  },
  "lab-network-taken": {
    cause: "The lab's addresses are fixed, and this machine uses them for another network.",
    remedy: "Free that network while the lab is up",
    examples: [["lab", "the lab's addresses (‹range›) are routed to ‹network› on ‹device›"]],
  },
  "lab-packages-missing": {
    cause: "The lab runs programs of the machine that are not installed, and this user may not install them.",
    remedy: "Install them, then try again",
    examples: [
      ["this machine", "these Debian packages, or what your distribution calls them, are missing: ‹names›"],
    ],
  },
  "lab-packages-not-installed": {
    cause: "apt-get failed.",
    remedy: "Install them by hand (apt-get install), then try again",
    examples: [["Debian packages ‹names›", "‹message›"]],
  },
  "lab-no-package-source": {
    cause: "The images of the lab's machines are made of packages of this machine's distribution.",
    remedy: "Run the lab on a Debian-like machine whose apt sources name the distribution's own archive",
    examples: [["lab", "no apt source of this machine's distribution was found in /etc/apt"]],
  },
  "lab-go-missing": {
    cause: "Stand-ins of the lab are built with Go, which is not on PATH and could not be installed.",
    remedy: goInstall,
    examples: [["Go", "there is no fitting Go on PATH, and it could not be installed: ‹message›"]],
  },
  "lab-go-unusable": {
    cause: "The Go that was installed for the lab is another version, or for another kind of machine.",
    remedy: goInstall,
    examples: [["‹folder›", "it is Go ‹version›, ‹version› is needed"]],
  },
  "lab-images-gone": {
    cause: "Somebody deleted the images that the machines of the lab run on.",
    remedy: "Take it down and bring it up anew: `npm run lab -- down`, `npm run lab -- up`",
    examples: [["lab", "the images that its machines were made from are gone: ‹folder›"]],
  },
  "lab-machine-off": {
    cause: "The machine was stopped, or this machine was restarted.",
    remedy: "Bring the lab up, which boots its machines: `npm run lab -- up`",
    examples: [["machine ‹name›", "it does not run"]],
  },
  "lab-no-such-machine": {
    cause: "No machine, or more than one, goes by that name.",
    remedy: (names: readonly string[]) => `Name one, or a part that only one has: ${names.join(", ")}`,
    examples: [["machine ‹name›", "there is none of that name", ["‹names›"]]],
  },
  "lab-no-such-worker": {
    cause: "Workers alone can be added, replaced and removed.",
    remedy: {
      none: "Add a worker first: `npm run lab -- add-worker`",
      others: (workers: readonly string[]) => `Name a worker: ${workers.join(", ")}`,
    },
    examples: [
      ["node ‹name›", "the lab has no such node", "none"],
      ["node ‹name›", "it is the cluster's control plane", "others", ["‹names›"]],
    ],
  },
  "lab-official-missing": {
    cause: "Where Pulumi's own programs are asked for, they have to be installed.",
    remedy:
      "Install the Pulumi CLI so that `pulumi` is on PATH, and its plugins: `pulumi plugin install resource kubernetes`, `pulumi plugin install resource command`",
    examples: [
      [
        "official Pulumi",
        "these were not found, or are of another major version than the project's SDK: ‹names›",
      ],
    ],
  },
  "lab-waited": {
    cause: "Something of the lab did not come up in time.",
    remedy: goOn,
    examples: [["lab", "in ‹number› s it did not happen that ‹event›"]],
  },
  "lab-command-failed": {
    cause: "A program that the lab runs failed.",
    remedy: goOn,
    examples: [["‹program›", "‹message›"]],
  },
  "lab-demonstration-failed": {
    cause: "A step of the demonstration did not do what it shows.",
    remedy: "The lab is still up, for a look: `npm run lab -- status`. Run it again: it goes on from there",
    examples: [["‹step›", "‹message›"]],
  },
  "bench-nothing-measured": {
    cause: "The page is written from a record of measurements, and there is none.",
    remedy: "Measure first: `npm run bench -- --write-docs`",
    examples: [["docs/benchmark.json", "it is not there"]],
  },
  "bench-peers-missing": {
    cause: "Programs that the benchmark compares with come from Python's package index.",
    remedy: "Set up pip's index, or leave them out: `npm run bench -- --peers tkc-registry,xargs-ssh`",
    examples: [["‹packages›", "they could not be installed: ‹message›"]],
  },
});
