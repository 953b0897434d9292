import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Answers } from "../../../../cli/init/answers";
import { checkHosts, readRequest } from "../../../../cli/init/arguments";
import { chooseRegistries } from "../../../../cli/init/registries";
import { problem } from "../../../integration/net/server";

const sha256 = "0a".repeat(32);

describe("init's arguments", () => {
  it("are told all at once where they are wrong", () => {
    const cases: [string[], RegExp[]][] = [
      [[], [/^NAME: it is missing/]],
      [["a", "b"], [/^NAME: there are 2 of them/]],
      [["../a"], [/^NAME: "\.\.\/a" is not the name of a stack/]],
      [["a/b/c/d"], [/^NAME: .* is not the name of a stack/]],
      [["a", "--from", "x y"], [/^--from: "x y" is not the name of a stack/]],
      [["a", "--bastion", "host"], [/^--bastion: "host" is not USER@HOST\[:PORT\]/]],
      [["a", "--ca-sha256"], [/^arguments: --ca-sha256 lacks its value/]],
      [
        [
          "a",
          "--registry",
          "h.example,ca=net",
          "--registry",
          "h.example,kind=docker",
          "--registry",
          "h.example,ca=file:",
        ],
        [/"ca=net" is neither/, /"kind=docker" is neither/, /"ca=file:" is neither/],
      ],
    ];
    for (const [args, patterns] of cases)
      assert.throws(() => readRequest(args), problem("bad-arguments", ...patterns), args.join(" "));
    assert.throws(
      () => readRequest(["a", "--registry", "https://h.example", "--ca-sha256", "h.example=12"]),
      problem("registry-host", /--registry: /, /--ca-sha256: .*\[fingerprint-shape\]|fingerprint-shape/),
    );
    assert.throws(
      () => readRequest(["a", "--trust-on-first-use", "h.example", "--ca-sha256", `h.example=${sha256}`]),
      problem("bad-arguments", /--trust-on-first-use: there is --ca-sha256 for h\.example too/),
    );
  });

  it("repeat no word that may be a password", () => {
    for (const args of [["--user", "hunter2"], ["--password=hunter2"], ["--ca-sha256", "hunter2"]])
      assert.throws(
        () => readRequest(["a", ...args]),
        (error: Error) => problem("bad-arguments")(error) && !error.message.includes("hunter2"),
      );
  });

  it("name a registry in the spelling of images, and only registries that there are", () => {
    const request = readRequest(["a", "--registry", "H.Example:8443", "--user", "h.example:8443=robot$a=b"])!;
    assert.deepEqual(request.registries, [{ host: "h.example:8443" }]);
    assert.deepEqual([...request.users], [["h.example:8443", "robot$a=b"]]);
    checkHosts(request, ["h.example:8443"]);
    assert.throws(
      () => checkHosts(request, ["h.example"]),
      problem("bad-arguments", /^--user: h\.example:8443 is none of the registries: h\.example\./),
    );
  });

  it("change of another environment's registry what they say, and drop its registries that they do not name", async () => {
    const credentials = { from: "none" };
    const base = [
      { host: "A.example", kind: "generic" as const, ca: { from: "chain" as const, sha256 }, credentials },
      { host: "b.example" },
    ];
    const choose = async (...args: string[]): Promise<unknown> =>
      await chooseRegistries(readRequest(["dev", ...args])!, base, new Answers(false));
    assert.deepEqual(await choose("--registry", "a.example", "--registry", "c.example,ca=file:/c.pem"), [
      { ...base[0], host: "a.example" },
      { host: "c.example", ca: { from: "file", path: "/c.pem" } },
    ]);
    assert.deepEqual(await choose("--registry", "a.example,ca=chain"), [{ ...base[0], host: "a.example" }]);
    const given = { from: "file" as const, path: "/old.pem", sha256 };
    assert.deepEqual(
      await chooseRegistries(
        readRequest(["dev", "--registry", "a.example,ca=file:/new.pem"])!,
        [{ host: "a.example", ca: given }],
        new Answers(false),
      ),
      [{ host: "a.example", kind: "harbor", ca: { from: "file", path: "/new.pem" } }],
    );
    // The pin of a CA is of that source alone.
    assert.deepEqual(await choose("--registry", "a.example,kind=harbor,ca=harbor"), [
      { host: "a.example", kind: "harbor", ca: { from: "harbor" }, credentials },
    ]);
    assert.deepEqual(await choose(), [
      { ...base[0], host: "a.example" },
      { ...base[1], kind: "harbor" },
    ]);
  });
});
