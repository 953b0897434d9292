import assert from "node:assert/strict";
import { test } from "node:test";
import { command, readRequest, type Request } from "../../../../lab/bench/arguments";
import { UserError } from "../../../../support/errors";

function request(...argv: string[]): Request {
  const read = readRequest(argv);
  assert.ok(typeof read === "object");
  return read;
}

const contestants = (...argv: string[]): string[] =>
  request(...argv).contestants.map(({ peer, transport }) => `${peer.name} ${transport}`);

test("everything is measured, our own stack by both ways, unless less is asked for", () => {
  assert.ok(contestants().includes("tkc-registry direct") && contestants().includes("tkc-registry jumpbox"));
  assert.deepEqual(contestants("--peers", "pyinfra,engine-floor"), ["pyinfra direct", "engine-floor direct"]);
  assert.deepEqual(contestants("--peers", "tkc-registry,xargs-ssh", "--transport", "jumpbox"), [
    "xargs-ssh direct",
    "tkc-registry jumpbox",
  ]);
});

test("a small and a large fleet are measured, and with --full all sizes, unless sizes are given", () => {
  assert.deepEqual(request().sizes, [8, 64]);
  assert.deepEqual(request("--full").sizes, [1, 8, 32, 64, 128, 256]);
  assert.deepEqual(request("--full", "--nodes", "16").sizes, [16]);
  assert.deepEqual(contestants("--full"), contestants());
  assert.deepEqual(contestants("--full", "--peers", "pyinfra"), ["pyinfra direct"]);
});

test("everything is measured three times, what takes minutes once, unless a number is given", () => {
  const runs = (...argv: string[]): Record<string, number> =>
    Object.fromEntries(request(...argv).contestants.map(({ peer, runs }) => [peer.name, runs]));
  const { sequential, ansible, ...others } = runs();
  assert.deepEqual([sequential, ansible], [1, 1]);
  assert.ok(Object.values(others).every((each) => each === 3));
  assert.deepEqual(runs("--full"), runs());
  assert.ok(Object.values(runs("--runs", "2")).every((each) => each === 2));
});

test("sizes and settings are read", () => {
  const { sizes, settings } = request("--nodes", "1,256", "--delay-ms", "2.5");
  assert.deepEqual(sizes, [1, 256]);
  assert.deepEqual(settings, { atOnce: 16, rehashSeconds: 0.5, restartSeconds: 0.3, delayMs: 2.5 });
});

test("what needs no lab is told apart", () => {
  assert.equal(readRequest(["--help"]), "help");
  assert.equal(readRequest(["--redraw"]), "redraw");
});

test("the help names every option and every peer, what is measured by default, and how long it takes", () => {
  const help = command().helpInformation();
  assert.match(help.replaceAll(/\s+/g, " "), /25 minutes .* three hours with --full/);
  for (const said of [`(default: "8,64")`, "1,8,32,64,128,256", "3, but sequential and ansible once"])
    assert.ok(help.replaceAll(/\s+/g, " ").includes(said), said);
  for (const option of ["full", "nodes", "peers", "transport", "runs", "at-once", "json", "write-docs"])
    assert.match(help, new RegExp(`^ {2}--${option}\\b`, "m"));
  for (const { peer } of request().contestants) assert.ok(help.includes(peer.name), peer.name);
});

const mistakes = [
  "--nodes 0",
  "--nodes 8,many",
  "--nodes 100000",
  "--runs 1.5",
  "--peers puppet",
  "--transport relay",
  "--rehash-seconds -1",
  "--rehash-seconds soon",
  "--full=yes",
  "--fast",
  "now",
];
for (const mistake of mistakes) {
  test(`a mistake is told without a stack: ${mistake}`, () => {
    assert.throws(() => readRequest(mistake.split(" ")), UserError);
  });
}
