/**
 * What runs of the whole program cost, counted: with the engine, real sshds and an API server. What a count may be is what
 * it is, and little more, so that a regression shows. Nothing here asserts a time.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { exec } from "../../../lab/exec";
import { projectRoot } from "../../../lab/paths";
import { assertBuildIsFresh } from "../../../support/build";
import { fakeRootsImpossible } from "../nodes/script/fakeRoot";
import { sshdImpossible } from "../nodes/ssh/sshServer";
import { type Project, makeProject, skip as noEngine } from "./project";
import { TestCluster } from "./testCluster";

assertBuildIsFresh();

/** Counts processes by what the kernel tells of each fork. */
const measure = path.join(projectRoot, "lab", "bench", "measure.py");
const noPython = spawnSync("python3", ["--version"]).status === 0 ? false : "needs python3";

/** What a run cost. */
interface Counts {
  /** Of each node. */
  readonly logins: readonly number[];
  readonly restarts: readonly number[];
  /** Streams through the jumpbox. */
  readonly streams: number;
  readonly requests: readonly string[];
  /** With the API servers, streams left out. */
  readonly connections: number;
  readonly processes: number;
  /** The files that the program loaded. */
  readonly files: readonly string[];
  /** Characters of the stack's state after it. */
  readonly state: number;
}

describe(
  "a run of the whole program",
  { skip: noEngine || fakeRootsImpossible() || sshdImpossible() || noPython },
  () => {
    const size = 5;
    const each = (count: number): number[] => Array.from({ length: size }, () => count);
    let cluster: TestCluster;
    let project: Project;
    let [hook, loaded, figures] = ["", "", ""];

    before(async () => {
      cluster = await TestCluster.start("control-1", "w-1", "w-2", "w-3", "w-4");
      project = await makeProject();
      const { folder } = project;
      [hook, loaded, figures] = ["hook.cjs", "loaded", "figures"].map((name) => path.join(folder, name)) as [
        string,
        string,
        string,
      ];
      const write = (file: string, text: string): void => fs.writeFileSync(path.join(folder, file), text);
      write("Pulumi.yaml", "name: standins\nruntime: { name: nodejs, options: { typescript: false } }\n");
      write("package.json", JSON.stringify({ name: "standins", main: "index.js" }));
      write("index.js", `module.exports = require(${JSON.stringify(path.join(projectRoot, "main.js"))});`);
      write(
        "hook.cjs",
        `process.on("exit", () => {
        if (!process.argv[1]?.includes("@pulumi/pulumi/cmd/run")) return;
        const files = Object.keys(require.cache).filter((file) => file !== __filename);
        require("node:fs").writeFileSync(${JSON.stringify(loaded)}, files.join("\\n"));
      });`,
      );
      const config = Object.entries(cluster.settings).map(([name, value]) => [`standins:${name}`, value]);
      fs.appendFileSync(
        path.join(folder, "Pulumi.test.yaml"),
        `config: ${JSON.stringify(Object.fromEntries(config))}\n`,
      );
      const modules = path.join(folder, "..", "node_modules");
      fs.mkdirSync(modules);
      fs.symlinkSync(projectRoot, path.join(modules, "tkc-registry"));
    });
    after(async () => {
      await project.remove();
      await cluster.stop();
    });

    const run = async (...args: readonly string[]): Promise<Counts> => {
      const { api, nodes } = cluster;
      const count = () => ({
        logins: nodes.map(({ server }) => server.logins),
        restarts: nodes.map(({ root }) => root.lines("lab/restarts")),
        streams: api.pod.streams,
        connections: api.connections,
      });
      const earlier = count();
      api.requests.length = 0;
      await exec("python3", [measure, figures, "pulumi", ...args, "--non-interactive"], {
        cwd: project.folder,
        env: { ...project.env, NODE_OPTIONS: `--require=${hook}` },
        timeout: 240,
      });
      const later = count();
      const more = (key: "logins" | "restarts"): number[] =>
        later[key].map((number, node) => number - earlier[key][node]!);
      const streams = later.streams - earlier.streams;
      const { stdout: state } = await project.run(["stack", "export"]);
      return {
        ...{ logins: more("logins"), restarts: more("restarts"), streams },
        requests: [...api.requests],
        connections: later.connections - earlier.connections - streams,
        processes: (JSON.parse(fs.readFileSync(figures, "utf8")) as { processes: number }).processes,
        files: fs.readFileSync(loaded, "utf8").split("\n"),
        state: JSON.stringify(JSON.parse(state)).length,
      };
    };
    const up = (...more: readonly string[]): Promise<Counts> => run("up", "--yes", "--skip-preview", ...more);
    const aboutNodes = ({ requests }: Counts): string[] =>
      requests.filter((request) => /\/(?:nodes|leases)\/tkc-cluster-1-/.test(request));
    /** One session a node; and each of the clients of two clusters has at most 8 connections. */
    const isShared = ({ logins, streams, connections }: Counts): void => {
      assert.deepEqual([logins, streams], [each(1), size]);
      assert.ok(connections <= 2 * 8 + 2, `${connections} connections`);
    };

    let alone: Counts;
    let preview: Counts;
    let first: Counts;
    let second: Counts;

    it("installs on one node in one session", async () => {
      cluster.list(1);
      alone = await up();
      assert.deepEqual([alone.logins, alone.streams, alone.restarts], [[1, 0, 0, 0, 0], 1, [1, 0, 0, 0, 0]]);
    });

    it("asks each node in one session when it previews, and the API servers for no node by itself", async () => {
      cluster.list(size);
      preview = await run("preview");
      isShared(preview);
      assert.deepEqual(preview.restarts, each(0));
      assert.deepEqual(aboutNodes(preview), []);
      assert.ok(preview.requests.length <= 32, `${preview.requests.length} requests`);
      // Of the engine, the language host, the program and the provider: for a node there is none.
      assert.ok(preview.processes <= 10, `${preview.processes} processes`);
    });

    it("asks, installs and restarts in one session, once on each node that needs it", async () => {
      first = await up();
      assert.deepEqual([first.logins, first.streams], [each(1), size]);
      assert.deepEqual(first.restarts, [0, 1, 1, 1, 1]);
      const patches = aboutNodes(first).filter((each) => each.includes("PATCH"));
      assert.equal(patches.length, size - 1);
      // A node has two commands, of three processes each: a shell, the client, and curl.
      const processes = first.processes - preview.processes;
      assert.ok(processes <= 6 * (size - 1) + 2, `${processes} processes for ${size - 1} nodes`);
    });

    it("adds no more than it must to the state for each node", () => {
      const bytes = (first.state - alone.state) / (size - 1);
      assert.ok(bytes <= 8400, `${bytes} bytes a node`);
    });

    it("starts no process for a node, restarts nothing and writes nothing where there is nothing to do", async () => {
      second = await up("--expect-no-changes");
      isShared(second);
      assert.deepEqual(second.restarts, each(0));
      assert.ok(second.processes <= preview.processes + 1, `${second.processes} processes`);
      assert.ok(second.requests.length <= 32, `${second.requests.length} requests`);
      assert.deepEqual(
        second.requests.filter((each) => / (?:PATCH|PUT|DELETE) /.test(each)),
        [],
      );
    });

    it("loads nothing that it does not need", () => {
      assert.ok(second.files.length <= 480, `${second.files.length} files`);
      const ours = second.files.filter((file) => file.startsWith(path.join(projectRoot, "dist")));
      assert.deepEqual(ours.map((file) => path.basename(file)).sort(), ["index.js", "kubernetesClient.js"]);
      // Pulumi's SDK would load the first ones, and the package's index all of Kubernetes' resources.
      const needless = /\/(?:typescript|@npmcli|execa|@pulumi\/kubernetes\/(?:batch|rbac))\//;
      assert.deepEqual(
        second.files.filter((file) => needless.test(file)),
        [],
      );
    });

    it("touches the one node of five that lost its CA, in the sessions in which all are asked", async () => {
      cluster.nodes[2]!.root.shell("rm /etc/ssl/certs/tkc*");
      const drifted = await up();
      isShared(drifted);
      assert.deepEqual(drifted.restarts, [0, 0, 1, 0, 0]);
      assert.ok(drifted.processes - second.processes <= 6 + 2, `${drifted.processes} processes`);
    });
  },
);

describe("the start of the program", () => {
  /** The files that it loads beside Pulumi's SDK and what that needs. */
  const files = (): string[] => {
    const script = `require("@pulumi/pulumi");
      const sdk = new Set(Object.keys(require.cache));
      require("./main.js");
      console.log(Object.keys(require.cache).filter((file) => !sdk.has(file)).join("\\n"));`;
    const { stdout } = spawnSync(process.execPath, ["-e", script], { cwd: projectRoot, encoding: "utf8" });
    return stdout.trim().split("\n");
  };

  it("loads one bundle, the providers' packages and SSH, and no client of Kubernetes yet", () => {
    const all = files();
    const own = all.filter((file) => !file.includes("node_modules"));
    assert.deepEqual(own.map((file) => path.relative(projectRoot, file)).sort(), [
      "dist/index.js",
      "main.js",
    ]);
    assert.ok(all.length <= 60, `${all.length} files`);
    assert.deepEqual(
      all.filter((file) => /typescript|ts-node|tsx|esbuild/.test(file)),
      [],
    );
  });
});
