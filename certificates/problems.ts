/** What makes a certificate unfit. */
import { defineProblems } from "../support/errors";

export const certificateProblem = defineProblems("Certificates", {
  "ca-expired": {
    cause: "A CA is valid until a date that is past; nodes would refuse the registry from then on.",
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
    cause: "The CA is valid from a date that is still to come, by this machine's clock.",
    remedy: "Wait until then, or set this machine's clock right",
    examples: [
      ["registries[0].ca", "the certificate ‹name› is valid only from ‹valid from›; it is ‹now› here"],
    ],
  },
  "ca-is-leaf": {
    cause: "A registry's own certificate was given in place of the one that issued it.",
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
    cause: "A file with both certificate and key was given. The key is nobody's business but the CA's.",
    remedy: "Give the certificate alone; if the key was meant to be secret, keep it away from this setting",
    examples: [["registries[0].ca", "there is a private key in it"]],
  },
  "ca-not-pem": {
    cause: "Nodes read certificates as PEM text only, and pass over all else in silence.",
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
    cause:
      "Windows and Java tools write certificates as DER unless they are told otherwise; nodes read PEM text only.",
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
      "The CA was made long ago, with a key that is short enough to be broken. Trusted by nodes, it would let whoever breaks it pose as any server.",
    remedy: (bits: number) => `Have it issued anew with a key of ${bits} bits or more, or on the curve P-256`,
    examples: [
      [
        "registries[0].ca",
        "the certificate ‹name› has an RSA key of ‹bits› bits: who breaks it, which is within reach, can pose as any server to the nodes",
        2048,
      ],
    ],
  },
  "ca-unusable": {
    cause:
      "Go, which containerd is written in, reads certificates more strictly than OpenSSL does, and leaves out what it can't read without a word.",
    remedy: "Have it issued anew without that",
    examples: [
      ["registries[0].ca", "the certificate ‹name› would be passed over by containerd in silence: ‹unread›"],
    ],
  },
  "fingerprint-shape": {
    cause:
      "Certificates are pinned by their SHA-256; this is another digest, a key's fingerprint, or not whole.",
    remedy:
      "Give the certificate's SHA-256: 64 hexadecimal digits, with or without colons (`openssl x509 -in ca.crt -noout -fingerprint -sha256`)",
    examples: [["registries[0].ca.sha256", '"‹text›" is a SHA-1 fingerprint']],
  },
});
