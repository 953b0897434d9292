/** The problems that certificates can have. */
import { defineProblems } from "../support/errors";

export const certificateProblem = defineProblems("Certificates", {
  "ca-expired": {
    cause: "The CA has expired, so nodes would refuse the registry.",
    remedy: {
      given: "Give the registry's present CA",
      deployed: "Give the stack the registry's present CA, then run `pulumi up`",
    },
    examples: [
      ["registries[0].ca", "the certificate ‹subject› expired at ‹time›", "given"],
      ["registry ‹host›", "its CA certificate ‹subject› expired at ‹time›", "deployed"],
    ],
  },
  "ca-not-yet-valid": {
    cause: "The CA becomes valid in the future, according to this machine's clock.",
    remedy: "Wait until then, or correct this machine's clock",
    examples: [
      ["registries[0].ca", "the certificate ‹name› is valid only from ‹valid from›; it is ‹now› here"],
    ],
  },
  "ca-is-leaf": {
    cause: "The setting has the registry's own certificate instead of the CA that issued it.",
    remedy:
      "Give the certificate of that issuer: trust in a server's own certificate ends with its next renewal",
    examples: [
      [
        "registries[0].ca",
        "the certificate is a server's (‹subject›), not an authority's; it is issued by ‹issuer›",
      ],
    ],
  },
  "ca-has-private-key": {
    cause: "The setting has a private key beside the certificate. Only the CA itself may have its key.",
    remedy: "Give the certificate alone; if the key was meant to be secret, keep it away from this setting",
    examples: [["registries[0].ca", "there is a private key in it"]],
  },
  "ca-not-pem": {
    cause: "Nodes read only PEM text, and ignore all other formats in silence.",
    remedy: {
      pem: "Give the CA's certificate as PEM text (`-----BEGIN CERTIFICATE-----`)",
      lines: "Add the two lines",
      encoding: "Save it as UTF-8 or ASCII",
    },
    examples: [
      ["registries[0].ca", "there is no certificate in it", "pem"],
      [
        "registries[0].ca",
        "it is a certificate in base64 without the lines `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`",
        "lines",
      ],
      ["registries[0].ca", "it is text in UTF-16", "encoding"],
    ],
  },
  "ca-der": {
    cause: "Windows and Java tools write DER by default; nodes read only PEM text.",
    remedy: "Convert it: `openssl x509 -inform der -in ca.der -out ca.crt`",
    examples: [
      ["registries[0].ca", "it is a certificate in DER (binary) form, which nodes ignore in silence"],
    ],
  },
  "ca-pkcs7": {
    cause:
      "Windows and Java tools export chains as PKCS#7 (`.p7b`), which neither containerd nor the nodes' tools read.",
    remedy: {
      pem: "Take the certificates out of it: `openssl pkcs7 -in ca.p7b -print_certs -out ca.crt`",
      der: "Take the certificates out of it: `openssl pkcs7 -inform der -in ca.p7b -print_certs -out ca.crt`",
    },
    examples: [
      ["registries[0].ca", "it is a PKCS#7 bundle (.p7b) in PEM form, which nodes ignore in silence", "pem"],
      [
        "registries[0].ca",
        "it is a PKCS#7 bundle (.p7b) in DER (binary) form, which nodes ignore in silence",
        "der",
      ],
    ],
  },
  "ca-weak-key": {
    cause:
      "The CA has a key that is short enough to be broken. Whoever breaks it could pose as any server to nodes that trust the CA.",
    remedy: (bits: number) => `Have it issued anew with a key of ${bits} bits or more, or on the curve P-256`,
    examples: [
      [
        "registries[0].ca",
        "the certificate ‹name› has an RSA key of ‹bits› bits: whoever breaks it, which is feasible, can pose as any server to the nodes",
        2048,
      ],
    ],
  },
  "ca-unusable": {
    cause:
      "containerd is written in Go, which parses certificates more strictly than OpenSSL, and ignores in silence what it cannot parse.",
    remedy: "Have it issued anew without this defect",
    examples: [
      ["registries[0].ca", "the certificate ‹name› would be ignored by containerd in silence: ‹unread›"],
      [
        "registries[0].ca",
        "the certificate ‹name› would be ignored by containerd in silence: Go does not read it: its key, a point of an elliptic curve, is in compressed (or hybrid) form",
      ],
    ],
  },
  "fingerprint-shape": {
    cause:
      "A certificate is pinned by its SHA-256; this is another digest, the fingerprint of a key, or incomplete.",
    remedy:
      "Give the certificate's SHA-256: 64 hexadecimal digits, with or without colons (`openssl x509 -in ca.crt -noout -fingerprint -sha256`)",
    examples: [["registries[0].ca.sha256", '"‹text›" is a SHA-1 fingerprint']],
  },
});
