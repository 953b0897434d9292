import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { unusedProxy } from "../../../net/proxy";

const endpoint = { hostname: "registry.example.com", port: 8443 };
const proxy = "http://alana:secret@proxy.example.com:3128";

describe("a proxy that is set", () => {
  it("is told by the variable's name, never by its value", () => {
    for (const name of ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) {
      const told = unusedProxy(endpoint, { [name]: proxy });
      assert.match(told, new RegExp(`${name} is set, and is not used: nodes reach the registry without`));
      assert.doesNotMatch(told, /secret|proxy\.example/);
    }
  });

  it("is not told where it would not have been used", () => {
    assert.equal(unusedProxy(endpoint, {}), "");
    assert.equal(unusedProxy(endpoint, { HTTPS_PROXY: "", http_proxy: proxy }), "");
    for (const exception of [
      ...["*", "registry.example.com", "REGISTRY.example.com", "example.com", ".example.com"],
      ...["localhost, example.com", "registry.example.com:8443"],
    ]) {
      for (const name of ["no_proxy", "NO_PROXY"])
        assert.equal(unusedProxy(endpoint, { https_proxy: proxy, [name]: exception }), "", exception);
    }
    for (const [hostname, exception] of [
      ["10.0.0.5", "10.0.0.5"],
      ["10.0.0.5", "10.0.0.0/8"],
      ["fd00::5", "fd00::5"],
      ["fd00::5", "[fd00::5]:8443"],
      ["fd00::5", "fd00::/16"],
    ] as const) {
      const environment = { https_proxy: proxy, no_proxy: exception };
      assert.equal(unusedProxy({ hostname, port: 8443 }, environment), "", exception);
    }
  });

  it("is told where an exception is for others", () => {
    for (const exception of ["", "ample.com", "other.example.com", "registry.example.com:443", "10.0.0.0/8"])
      assert.notEqual(unusedProxy(endpoint, { https_proxy: proxy, no_proxy: exception }), "", exception);
    for (const exception of ["10.0.0.6", "192.168.0.0/16", "fd00::/16", "0.0.5"]) {
      const environment = { https_proxy: proxy, no_proxy: exception };
      assert.notEqual(unusedProxy({ hostname: "10.0.0.5", port: 443 }, environment), "", exception);
    }
  });
});
