/** What is wrong with registries, their CAs and the credentials for them. */
import { defineProblems } from "../support/errors";

const anotherSource = "give the CA with `from: file`, `inline` or `chain`";
const askNewFingerprint =
  "If the registry's CA was changed, ask its administrator for the new fingerprint, by another way than this connection, and set it here; otherwise somebody may be between you and the registry";

export const registryProblem = defineProblems("Registries, their CAs and credentials", {
  "registry-host": {
    cause:
      "Image names, the pull secret and containerd compare a registry's name as text: there is one spelling of it that all of them take.",
    remedy: {
      shape: "Write `host` or `host:port`, as image names give it",
      http: "Registries are reached by HTTPS only: write the HTTPS port's `host:port`",
      userAndPath: "Leave scheme, user and path out; credentials have settings of their own",
      scheme: (host: string) => `Leave the scheme and any path out: write "${host}"`,
      user: "Write the host alone; credentials have settings of their own",
      path: (host: string) => `Write "${host}"; the path belongs to the image`,
      port: "Ports are 1 to 65535, without leading zeros",
      ipv4: "Write four numbers from 0 to 255",
      spelling: (host: string) => `Write "${host}"`,
      ascii: "Write the name in ASCII",
      dockerHub: (host: string) =>
        `Write the full domain name, or "${host}:443" both here and in image names`,
      ipv6: "Write `[address]` or `[address]:port`",
    },
    examples: [
      ["registries[0].host", '"https://‹host›" has a scheme', "scheme", "‹host›"],
      ["registries[0].host", '"‹host›/‹path›" has a path', "path", "‹host›"],
      ["registries[0].host", '"‹host›:0443" has a bad port', "port"],
      [
        "registries[0].host",
        '"harbor" has neither a dot nor a port, so that image names with it mean a user of Docker Hub',
        "dockerHub",
        "harbor",
      ],
      ["registries[0].host", '"‹host›" is not a host name', "shape"],
    ],
  },
  "image-reference": {
    cause: "The image's name is none that containerd would take.",
    remedy: {
      scheme: "Write `host/repository:tag`, without https://",
      digest: "A digest is `sha256:` and 64 lower-case hexadecimal digits",
      tag: "A tag is up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two",
      repository:
        "A repository is parts of lower-case letters, digits and single `.`, `_` or `-` between them, joined by `/`",
    },
    examples: [
      ["deployment.image", '"‹image›" has a scheme', "scheme"],
      ["deployment.image", '"‹image›" has a bad digest', "digest"],
      ["deployment.image", '"‹image›" has a bad tag', "tag"],
      ["deployment.image", '"‹image›" has a bad repository', "repository"],
    ],
  },
  "registry-unreachable": {
    cause:
      "The CA is to come from the registry, and this machine does not reach it. (That nodes may reach it all the same counts only where the CA comes from a file.)",
    remedy:
      "Check the registry's host and port, and that this machine reaches it; or give the CA with `from: file` or `inline`",
    examples: [
      ["registries[0].ca", "the CA cannot be fetched from ‹hostname› port ‹port›: ‹message›‹proxy›"],
    ],
  },
  "ca-getcert-absent": {
    cause: "Harbor serves its CA only where its administrator has put it there; other registries never do.",
    remedy:
      "It is not a Harbor, or its administrator has not put the CA where Harbor serves it (`ca_download/ca.crt` in its data folder): have that done, or give the CA with `from: file`, `inline` or `chain`",
    examples: [["registries[0].ca", "‹host› answers 404 to ‹getcert paths›"]],
  },
  "ca-getcert-failed": {
    cause: "The registry answers the question for its CA, but not with a certificate.",
    remedy: {
      redirect: `Redirects are not followed: set the registry's host to the one that serves it, or ${anotherSource}`,
      harbor: `Have its administrator look at \`ca_download/ca.crt\` in Harbor's data folder, or ${anotherSource}`,
      registry: `Try again when the registry is well, or ${anotherSource}`,
      size: `Check what is served there, or ${anotherSource}`,
    },
    examples: [
      ["registries[0].ca", "‹URL› redirects to ‹URL›", "redirect"],
      ["registries[0].ca", "‹URL› answers 500: Harbor cannot read the CA that it should serve", "harbor"],
      ["registries[0].ca", "‹URL› answers ‹status›", "registry"],
      ["registries[0].ca", "‹URL›: ‹message›, too much for a certificate", "size"],
    ],
  },
  "ca-fingerprint-mismatch": {
    cause:
      "The registry's CA was changed, the fingerprint is of another certificate, or somebody is in between.",
    remedy: {
      registry: askNewFingerprint,
      rootNotServed: `The registry does not serve its root: to trust that, give it with \`from: file\` or \`inline\`. ${askNewFingerprint}`,
      given: "Ask the registry's administrator which is right, and set the fingerprint or the certificate",
    },
    examples: [
      [
        "registries[0].ca.sha256",
        "no certificate of ‹host› (‹source›) has the SHA-256 ‹SHA-256›; there is ‹SHA-256› (‹subject›)",
        "registry",
      ],
      [
        "registries[0].ca.sha256",
        "no certificate of ‹host› (served TLS chain) has the SHA-256 ‹SHA-256›; there is ‹SHA-256› (‹subject›)",
        "rootNotServed",
      ],
      [
        "registries[0].ca.sha256",
        "no certificate of ‹host› (‹file›) has the SHA-256 ‹SHA-256›; there is ‹SHA-256› (‹subject›)",
        "given",
      ],
    ],
  },
  "ca-changed": {
    cause:
      "With `trustOnFirstUse` the first run's CA is held to. The registry's was changed since, or somebody is in between.",
    remedy: (now: readonly string[]) =>
      `Ask the registry's administrator, by another way than this connection, whether it was changed; if so, accept it by setting \`sha256: ${now.join("` or `sha256: ")}\`; otherwise somebody may be between you and the registry`,
    examples: [
      [
        "registries[0].ca",
        "the CA of ‹host› (‹source›) is ‹SHA-256› (‹subject›), and earlier runs have trusted ‹SHA-256›",
        ["‹SHA-256›"],
      ],
    ],
  },
  "ca-does-not-verify": {
    cause:
      "The CA is not the one that issued the registry's present certificate, none was given and it is not public, or that certificate is expired or for another name.",
    remedy: {
      given:
        "Give the CA that issued the registry's certificate; if the certificate is at fault, have it renewed for this host with a subject alternative name",
      offered:
        "Ask the registry's administrator for the CA that issued its certificate, and for that to be what Harbor offers",
      certificate: "Have the registry's certificate renewed without that",
      otherName:
        "Ask by a name that the certificate is for, and by the registry's own port (HOST:PORT): what answers here may be another server. If it is the registry, have its certificate renewed for this host, with a subject alternative name",
      pull: "Give the CA that issued its certificate",
      pullWithoutCa: "Give the registry's CA",
    },
    examples: [
      ["registries[0].ca", "with ‹CA› trusted, nodes would still refuse ‹host›: ‹reason›", "given"],
      ["‹registry›", "with what getcert offers trusted, nodes would refuse it: ‹reason›", "offered"],
      ["‹registry›", "with ‹CA› trusted, nodes would refuse it: ‹reason›", "certificate"],
      ["‹registry›", "with ‹CA› trusted, nodes would refuse it: ‹reason›", "otherName"],
      ["deployment.image", "nodes would refuse ‹host›: ‹reason›", "pull"],
      ["deployment.image", "nodes would refuse ‹host›: ‹reason›", "pullWithoutCa"],
    ],
  },
  "registry-login-failed": {
    cause: "The username or password is wrong, or the robot account has expired or is disabled.",
    remedy: {
      given:
        "Correct the username and password; a robot account's name starts with `robot$`, and Harbor refuses it once it has expired or is disabled",
      none: "Give the registry's credential",
    },
    examples: [
      [
        "registries[0].credentials",
        '‹host› does not accept the user "‹user›": it answers 401 to the login',
        "given",
      ],
      [
        "registries[0].credentials",
        "‹host› does not accept a pull: it wants a login, and no credential is given",
        "none",
      ],
    ],
  },
  "registry-forbidden": {
    cause:
      "The login is right, and the user has no right to this repository; or nobody may pull without one.",
    remedy: "Give the user the right to pull from the repository, or give another user's credential",
    examples: [["registries[0].credentials", "the user may not pull ‹image› (‹status›)"]],
  },
  "registry-not-a-registry": {
    cause: "Something else answers at this host and port, or a proxy in between does.",
    remedy: "Check that the host and port are the registry's",
    examples: [
      ["deployment.image", "‹host› answers /v2/‹repository›/manifests/‹reference› without a manifest"],
    ],
  },
  "registry-refused": {
    cause: "The registry, or what stands before it, refuses the request for a reason of its own.",
    remedy: {
      policy:
        "Use an image that the project's policies let through, or have its administrator look at them (in Harbor: the project's Configuration: vulnerable images, signatures)",
      proxy:
        "Have what stands before the registry (a proxy, a load balancer) let this host and its nodes through",
      other: "Correct what it names",
    },
    examples: [
      ["deployment.image", "‹host› refuses ‹image› (412 PROJECTPOLICYVIOLATION: ‹message›)", "policy"],
      ["deployment.image", "‹host› answers 407 to ‹path›", "proxy"],
      ["deployment.image", "‹host› answers 400 to ‹path› (NAME_INVALID: ‹message›)", "other"],
    ],
  },
  "image-architecture": {
    cause: "The image was built for other processors than the nodes have.",
    remedy: "Build and push the image for the nodes' architecture too (`docker buildx build --platform …`)",
    examples: [["deployment.image", "‹image› is for linux/arm64; nodes are amd64"]],
  },
  "registry-failing": {
    cause: "The registry is overloaded, is starting, or cannot reach its storage.",
    remedy: "Try again when the registry is well",
    examples: [["deployment.image", "‹host› answers ‹status› to ‹path›"]],
  },
  "image-not-found": {
    cause:
      "The image was not pushed or was deleted, or its name is another; some registries say the same of one that the user may not see.",
    remedy: "Push the image, or correct its name or tag; for Harbor, make the user a member of the project",
    examples: [["deployment.image", "the registry has no ‹image›, or does not show it to this user"]],
  },
  "docker-config-malformed": {
    cause: "Docker's configuration file, or the pull secret that is to be adopted, is damaged.",
    remedy: {
      file: "Correct the file, or set it aside and log in again with `docker login`",
      helper: "Correct docker's config.json",
    },
    examples: [
      ["~/.docker/config.json", "docker's config.json is not JSON", "file"],
      ["~/.docker/config.json", 'the credential helper\'s name "‹name›" is not one', "helper"],
    ],
  },
  "docker-config-no-entry": {
    cause: "Nobody has logged in to the registry by the name, port included, that images have.",
    remedy: (host: string) =>
      `Log in with the name that images have: \`docker login ${host}\`; or set \`credentials\`: \`{ from: password, username: … }\` with the secret \`passwords\`, or \`{ from: none }\` where everyone may pull`,
    examples: [["~/.docker/config.json", "there is no entry for ‹host›; there is ‹hosts›", "‹host›"]],
  },
  "docker-config-unusable-entry": {
    cause: "The entry is there, and holds no username and password of which a pull secret could be made.",
    remedy: (host: string) =>
      `Log in again: \`docker login ${host}\`; or give username and password in the settings`,
    examples: [
      [
        "~/.docker/config.json",
        "the entry of ‹host› holds no credential, and no credential store is named",
        "‹host›",
      ],
    ],
  },
  "credential-helper-missing": {
    cause: "Docker's configuration leaves credentials to a program that is not installed here.",
    remedy: "Install it, or give username and password in the settings",
    examples: [
      [
        "~/.docker/config.json",
        "the credential of ‹host› is kept by docker-credential-‹helper›, which is not on PATH",
      ],
    ],
  },
  "credential-helper-failed": {
    cause:
      "Docker's configuration leaves credentials to a program that fails, often as its keyring is locked.",
    remedy: {
      start: "Put it right, or give username and password in the settings",
      exit: (command: string) =>
        `Run \`${command}\` by hand to see what it says, or give username and password in the settings`,
      answer: "Log in again, or give username and password in the settings",
    },
    examples: [
      ["~/.docker/config.json", "docker-credential-‹name› could not be run: ‹message›", "start"],
      [
        "~/.docker/config.json",
        "docker-credential-‹name› ended with code ‹code›",
        "exit",
        "echo ‹host› | docker-credential-‹name› get",
      ],
      [
        "~/.docker/config.json",
        "docker-credential-‹name› answered without a username and a secret",
        "answer",
      ],
    ],
  },
  "robot-expired": {
    cause: "Robot accounts of Harbor end after 30 days unless they were given another time.",
    remedy: "Prolong it in Harbor, or make another one and give its name and secret",
    examples: [["registries[0].credentials", 'the robot account "‹username›" expired on ‹date›']],
  },
  "robot-disabled": {
    cause: "Somebody has switched the robot account off in Harbor.",
    remedy: "Enable it in Harbor, or give the name and secret of another one",
    examples: [["registries[0].credentials", 'the robot account "‹username›" is disabled']],
  },
  "pull-secret-identity-token": {
    cause:
      "Docker logged in by a browser or a token service. Kubernetes reads usernames and passwords only, and ignores such a token in silence.",
    remedy: "Give a username and password; for Harbor, those of a robot account",
    examples: [
      ["~/.docker/config.json", "it is an identity token, which Kubernetes does not take in a pull secret"],
    ],
  },
});
