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

test("sizes and settings are read", () => {
  const { sizes, settings } = request("--nodes", "1,256", "--runs", "1", "--delay-ms", "2.5");
  assert.deepEqual(sizes, [1, 256]);
  assert.deepEqual(settings, { runs: 1, atOnce: 16, rehashSeconds: 0.5, restartSeconds: 0.3, delayMs: 2.5 });
});

test("what needs no lab is told apart", () => {
  assert.equal(readRequest(["--help"]), "help");
  assert.equal(readRequest(["--redraw"]), "redraw");
});

test("the help names every option and every peer", () => {
  const help = command().helpInformation();
  for (const option of ["nodes", "peers", "transport", "runs", "at-once", "json", "write-docs", "delay-ms"])
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
  "--fast",
  "now",
];
for (const mistake of mistakes) {
  test(`a mistake is told without a stack: ${mistake}`, () => {
    assert.throws(() => readRequest(mistake.split(" ")), UserError);
  });
}
