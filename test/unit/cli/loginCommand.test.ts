import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loginCommand } from "../../../cli/loginCommand";
import { problem } from "../../integration/net/server";

describe("the login's arguments", () => {
  const required = ["--server", "10.0.0.1", "--namespace", "ns1", "--cluster", "tkc-cluster-1"];

  it("never hold the password, whose refusal does not repeat it", async () => {
    for (const args of [
      ["--password", "hunter2"],
      ["--password=hunter2"],
      ["-phunter2"],
      ["--passwd=hunter2"],
    ]) {
      await assert.rejects(
        loginCommand([...required, ...args]),
        (error: Error) =>
          problem("bad-arguments", /TKC_REGISTRY_VCENTER_PASSWORD/)(error) &&
          !error.message.includes("hunter2"),
      );
    }
    const strays: [string[], RegExp][] = [
      [["hunter2"], /belongs to no option/],
      [["--hunter2"], /an option is unknown/],
      [["--hunter two"], /an option is unknown/],
      [["-hunter2"], /an option is unknown/],
      [["--colour=hunter2"], /--colour is unknown/],
      [["--force=hunter2"], /--force takes no value/],
      [["--user", "--hunter2"], /--user lacks its value/],
      [["--user"], /--user lacks its value/],
    ];
    for (const [args, pattern] of strays) {
      await assert.rejects(
        loginCommand([...required, ...args]),
        (error: Error) => problem("bad-arguments", pattern)(error) && !error.message.includes("hunter"),
      );
    }
  });

  it("are told all at once where they are wrong or missing", async () => {
    await assert.rejects(
      loginCommand([]),
      problem("bad-arguments", /--server/, /--namespace/, /--cluster/, /--help/),
    );
    await assert.rejects(
      loginCommand([
        "--server",
        "https://10.0.0.1",
        "--namespace",
        "NS 1",
        "--cluster",
        "c",
        "--wait",
        "long",
        "--api-port",
        "0",
      ]),
      problem(
        "bad-arguments",
        /--server: .*scheme/,
        /--namespace: "NS 1"/,
        /--wait: "long"/,
        /--api-port: "0"/,
      ),
    );
    await assert.rejects(
      loginCommand([...required, "--colour"]),
      problem("bad-arguments", /--colour is unknown/),
    );
    await assert.rejects(loginCommand([...required, "--user"]), problem("bad-arguments", /--user/));
    await assert.rejects(
      loginCommand([...required, "--ca-file", "x", "--fingerprint", "y"]),
      problem("bad-arguments", /one of the two/),
    );
    await assert.rejects(
      loginCommand(["--server", "10.0.0.1", "--namespace", "one", "--cluster", "one"]),
      problem("bad-arguments", /--cluster-context: it would be one, as/, /--supervisor-context and/),
    );
    await assert.rejects(
      loginCommand([...required, "--supervisor-context", "tkc-cluster-1", "--cluster-context", "a\nb"]),
      problem("bad-arguments", /--cluster-context: "a b" is not a name of one line/),
    );
    await assert.rejects(
      loginCommand([...required, "--supervisor-context", "tkc-cluster-1"]),
      problem("bad-arguments", /it would be tkc-cluster-1, as/),
    );
    await assert.rejects(
      loginCommand([...required, "--fingerprint", "abc"]),
      problem("fingerprint-shape", /--fingerprint/),
    );
    await assert.rejects(
      loginCommand([...required, "--ca-file", "/proc/nonexistent"]),
      problem("file-unreadable", /--ca-file/),
    );
  });
});
