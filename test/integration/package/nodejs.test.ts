import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { exec } from "../../../lab/exec";
import { packageRoot } from "../../../support/build";
import { testOfAll } from "../../all";
import { cleanEnvironment } from "./project";

/** What needs no programs of this machine and no network. */
const files = ["unit", "components"].flatMap((suite) =>
  readdirSync(path.join(packageRoot, "test", suite), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.join("test", suite, name)),
);

testOfAll("the unit and component tests pass on Node.js 24 too", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-nodejs-"));
  try {
    const install = ["install", "--prefix", folder, "--prefer-offline", "--no-audit", "--no-fund"];
    await exec("npm", [...install, "node@24"], { cwd: folder, env: cleanEnvironment });
    const bin = path.join(folder, "node_modules", ".bin");
    const loader = pathToFileURL(require.resolve("tsx")).href;
    await exec(path.join(bin, "node"), ["--import", loader, "--test", "--test-concurrency=2", ...files], {
      env: { ...cleanEnvironment, PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}` },
      cwd: packageRoot,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
