import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { describeReview } from "../../../../cli/review/describe";
import { reviewSchema } from "../../../../cli/review/findings";
import { judge } from "../../../../cli/review/judge";
import { PreviewReader } from "../../../../cli/review/preview";
import { comparePlans, parseSavedPlan } from "../../../../cli/review/savedPlan";
import { changed, hostile, hostileJson, place, readOrTold, runs, secret } from "../../../fuzz";
import * as events from "./events";

const value = fc.oneof(hostile, hostileJson);

const good = events
  .lines(
    events.resource(events.trustUrn, { after: { outputs: { registries: [events.told(events.ca("a"))] } } }),
    events.nodes([events.ca("a")], [events.ca("b")]),
    events.node("cp1", {
      op: "update",
      change: {
        role: "control-plane",
        reasons: [{ code: "new-ca", host: "a.example", text: "its CA is new" }],
      },
    }),
    events.node("w1", { op: "create" }),
    events.deployment({ before: "a.example/web:1", after: "a.example/web:2" }),
    events.secret("create", { after: events.placed() }),
    [events.warning("something is not checked")],
  )
  .map((line) => JSON.parse(line) as unknown);

test("a preview of any shape is reviewed or refused, in lines that outside text can't break", () => {
  fc.assert(
    fc.property(place, value, (pick, what) => {
      const preview = readOrTold(() => {
        const reader = new PreviewReader("prod");
        for (const event of changed(good, pick, what) as unknown[]) reader.add(JSON.stringify(event));
        return reader.read();
      });
      if (!preview) return;
      const request = { stack: "prod", isProtected: true, now: new Date(0), differences: undefined };
      const found = judge(preview, request);
      reviewSchema.parse(JSON.parse(JSON.stringify(found)));
      for (const line of describeReview(found).split("\n")) {
        assert.doesNotMatch(line, /[\p{C}\p{Zl}\p{Zp}]/u);
        if (line.startsWith("|")) assert.match(line, /\|$/);
      }
    }),
    runs("previews"),
  );
});

test("a line that is no event is refused without what it says", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        hostile,
        hostileJson.map((json) => JSON.stringify(json)),
      ),
      secret,
      (line, word) => {
        readOrTold(() => new PreviewReader("prod").add(`${line}${word}`), [word]);
      },
    ),
    runs("preview lines"),
  );
});

const plan = {
  manifest: { version: "v3.259.0" },
  resourcePlans: {
    [events.nodeUrn("w1")]: {
      goal: {
        inputDiff: { adds: { a: 1 }, updates: { b: { c: "d" } }, deletes: ["e"] },
        dependencies: ["x"],
      },
      steps: ["update"],
    },
  },
};

test("plans of any shape are compared or refused", () => {
  fc.assert(
    fc.property(place, value, secret, (pick, what, word) => {
      const text = JSON.stringify(changed(plan, pick, what));
      const read = readOrTold(
        () => parseSavedPlan(text.replace('"d"', JSON.stringify(word)), "plan.json"),
        [word],
      );
      if (!read) return;
      const now = parseSavedPlan(JSON.stringify(plan), "plan.json");
      assert.ok(!JSON.stringify(comparePlans(read, now, new Map())).includes(word));
      assert.deepEqual(comparePlans(read, read, new Map()), []);
    }),
    runs("saved plans"),
  );
});
