import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  canonicalImage,
  manifestReference,
  parseImageHost,
  parseImageReference,
  parseRegistryHost,
} from "../../../registry/host";
import { problem } from "../../integration/net/server";

const subject = "registries[0].host";
const host = (text: string): string => parseRegistryHost(text, { subject }).host;
const image = (text: string): ReturnType<typeof parseImageReference> =>
  parseImageReference(text, { subject: "deployment.image" });

describe("a registry's host", () => {
  it("is taken in every form that image names have", () => {
    assert.deepEqual(parseRegistryHost("Harbor-VM.haas-401.pez.vmware.com", { subject }), {
      host: "harbor-vm.haas-401.pez.vmware.com",
      hostname: "harbor-vm.haas-401.pez.vmware.com",
      port: 443,
    });
    assert.deepEqual(parseRegistryHost("10.213.208.67", { subject }), {
      host: "10.213.208.67",
      hostname: "10.213.208.67",
      port: 443,
    });
    assert.deepEqual(parseRegistryHost("registry:5000", { subject }), {
      host: "registry:5000",
      hostname: "registry",
      port: 5000,
    });
    assert.deepEqual(parseRegistryHost("[fd00::1]:5000", { subject }), {
      host: "[fd00::1]:5000",
      hostname: "fd00::1",
      port: 5000,
    });
    assert.equal(host("[fd00::1]"), "[fd00::1]");
  });

  it("of an image is refused where it is an IPv6 address without port, for which kubelet finds no secret", () => {
    const refusal = problem("registry-host", /IPv6 address without a port.*"\[fd00::1\]:443"/);
    assert.throws(() => parseImageHost("[fd00::1]", { subject }), refusal);
    assert.throws(() => image("[fd00::1]/ns1/nginx:1"), refusal);
    assert.equal(image("[fd00::1]:443/ns1/nginx:1").host, "[fd00::1]:443");
  });

  it("has one spelling in an image's name", () => {
    const name = (text: string): string => canonicalImage(text, { subject });
    assert.equal(name(" Harbor.Example.COM/ns1/nginx:V1 "), "harbor.example.com/ns1/nginx:V1");
    assert.equal(name("[FD00::1]:443/ns1/nginx"), "[fd00::1]:443/ns1/nginx");
    for (const same of ["nginx", "nginx:1", "bitnami/nginx", "localhost/x@sha256:" + "a".repeat(64)])
      assert.equal(name(same), same);
  });

  it("keeps a port 443 that was written, since the pull secret's key is compared as text", () => {
    assert.equal(host("harbor.example.com:443"), "harbor.example.com:443");
    assert.equal(parseRegistryHost("harbor.example.com:443", { subject }).port, 443);
  });

  it("is refused, with the setting named and the right form told, when it is not one", () => {
    const refusals: [string, RegExp][] = [
      ["", /is empty/],
      ["https://harbor.example.com/", /has a scheme\. .*"harbor\.example\.com"/],
      ["http://harbor.example.com", /HTTPS only/],
      ["harbor.example.com/ns1", /has a path\. Write "harbor\.example\.com"/],
      ["admin@harbor.example.com", /has a user/],
      ["harbor.example.com:0", /bad port/],
      ["harbor.example.com:65536", /bad port/],
      ["harbor.example.com:0443", /bad port/],
      ["harbor.example.com:", /bad port/],
      ["10.213.208.999", /not an IPv4/],
      ["10.1.2", /not an IPv4/],
      ["0x7f.0.0.1", /not an IPv4/],
      ["010.0.0.1", /not an IPv4/],
      ["registry", /neither a dot nor a port.*"registry:443"/],
      ["-harbor.example.com", /not a host name/],
      ["harbor..example.com", /not a host name/],
      ["harbor_1.example.com", /not a host name/],
      ["하버.example.com", /Write "xn--/],
      ["fd00::1", /Write "\[fd00::1\]"/],
      ["[fd00:0::1]:5000", /Write "\[fd00::1\]:5000"/],
      ["[fe80::1%eth0]", /not an IPv6/],
      ["[::g]", /not an IPv6/],
      [
        "https://me:hunter2@harbor.example.com",
        /"https:\/\/…@harbor.example.com" has a scheme. (?!.*hunter2)/,
      ],
      ["me:hunter2@harbor.example.com/x", /"…@harbor.example.com\/x" has a user in it. (?!.*hunter2)/],
    ];
    for (const [text, pattern] of refusals) {
      assert.throws(() => host(text), problem("registry-host", pattern, /registries\[0\]\.host/), text);
    }
  });
});

describe("an image's name", () => {
  it("is taken apart by Docker's rules", () => {
    assert.deepEqual(image("10.213.208.67/ns1/nginx:latest"), {
      host: "10.213.208.67",
      repository: "ns1/nginx",
      tag: "latest",
      dockerHub: false,
    });
    assert.deepEqual(image("registry:5000/nginx"), {
      host: "registry:5000",
      repository: "nginx",
      dockerHub: false,
    });
    const digest = `sha256:${"a".repeat(64)}`;
    assert.deepEqual(image(`harbor.example.com/a/b/c:v1@${digest}`), {
      host: "harbor.example.com",
      repository: "a/b/c",
      tag: "v1",
      digest,
      dockerHub: false,
    });
    assert.equal(image("[fd00::1]:5000/nginx:1").host, "[fd00::1]:5000");
    assert.equal(image("localhost/nginx").host, "localhost");
  });

  it("is known for Docker Hub's, with the host and without", () => {
    for (const name of [
      "nginx",
      "nginx:1.27",
      "library/nginx",
      "docker.io/nginx",
      "index.docker.io/library/nginx",
    ]) {
      assert.equal(image(name).dockerHub, true, name);
      assert.equal(image(name).host, "docker.io", name);
      assert.equal(image(name).repository, "library/nginx", name);
    }
    assert.equal(image("bitnami/nginx").repository, "bitnami/nginx");
  });

  it("is refused when it is not one", () => {
    const refusals: [string, RegExp][] = [
      ["", /names no repository/],
      ["harbor.example.com/", /names no repository/],
      ["https://harbor.example.com/ns1/nginx", /has a scheme/],
      ["harbor.example.com/NS1/nginx", /bad repository/],
      ["harbor.example.com/ns1//nginx", /bad repository/],
      ["harbor.example.com/../nginx", /bad repository/],
      ["harbor.example.com/ns1/nginx:", /bad tag/],
      ["harbor.example.com/ns1/nginx:-x", /bad tag/],
      ["harbor.example.com/ns1/nginx@sha256:abc", /bad digest/],
      ["harbor.example.com/ns1/nginx name", /bad repository/],
    ];
    for (const [text, pattern] of refusals)
      assert.throws(() => image(text), problem("image-reference", pattern), text);
    assert.throws(() => image("harbor.example.com:99999/nginx"), problem("registry-host", /bad port/));
  });

  it("is the same after being written in full and read again", () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,5})?$/);
    const names = fc.record(
      {
        host: fc.constantFrom("10.0.0.1", "harbor.example.com:8443", "[fd00::1]:443", "localhost", "a.b"),
        repository: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/")),
        tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
        digest: fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`),
      },
      { requiredKeys: ["host", "repository"], noNullPrototype: true },
    );
    fc.assert(
      fc.property(names, (reference) => {
        const full = { ...reference, dockerHub: false };
        const { host, repository, tag, digest } = reference;
        const written = `${host}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
        assert.deepEqual(image(written), full);
      }),
    );
  });

  it("is asked for by its digest, else its tag, else latest", () => {
    assert.equal(manifestReference({ tag: "v1", digest: "sha256:x" }), "sha256:x");
    assert.equal(manifestReference({ tag: "v1" }), "v1");
    assert.equal(manifestReference({}), "latest");
  });
});
