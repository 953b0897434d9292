import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandError, exec } from "../../../lab/exec";
import { told } from "../../../lab/program";
import { again, eventually } from "../../../lab/waiting";

test("what doesn't happen is told with what was waited for, and what was seen last", async () => {
  let asked = 0;
  const waiting = eventually(
    "the API server is ready",
    (see) => {
      see(`status ${++asked}`);
      return Promise.resolve(undefined);
    },
    0.5,
  );
  const failure = await waiting.catch((error: unknown) => error);
  assert.ok(asked > 1);
  assert.match(
    told(failure),
    new RegExp(
      `in 0\\.5 s it did not happen that the API server is ready; seen last: status ${asked}\\. Run it again`,
    ),
  );
});

test("a command that fails is an answer that is not there yet; a defect is not", async () => {
  let asked = 0;
  const answer = await eventually("it works", async () => {
    if (++asked < 3) await exec("sh", ["-c", "echo not yet >&2; exit 1"]);
    return "answer";
  });
  assert.equal(answer, "answer");
  const silent = eventually("it works", () => exec("sh", ["-c", "echo not yet >&2; exit 1"]), 0.1);
  await assert.rejects(silent, /seen last: `sh .* ended with code 1: not yet/);
  await assert.rejects(
    eventually("it works", () => Promise.reject(new TypeError("a defect"))),
    TypeError,
  );
});

test("what isn't of a moment is not tried again", async () => {
  let tried = 0;
  const run = again(
    () => {
      tried++;
      return exec("false", []);
    },
    () => false,
  );
  await assert.rejects(run, CommandError);
  assert.equal(tried, 1);
});

test("a program that takes too long is killed with what it started, and that is told", async () => {
  const start = performance.now();
  const failure = await exec("sh", ["-c", "sleep 300 & wait"], { timeout: 1 }).catch(
    (error: unknown) => error,
  );
  assert.ok(performance.now() - start < 60_000);
  assert.ok(failure instanceof CommandError);
  assert.match(failure.message, /had not ended after 1 s, and was killed/);
});
