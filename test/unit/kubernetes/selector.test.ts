import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type ListedNode,
  leftOutBy,
  listedNode,
  selectionTerms,
  separating,
} from "../../../kubernetes/selection";
import { type Labels, SelectorError, matches, negated, parseSelector } from "../../../kubernetes/selector";

/** What `labels.Parse` and `Matches` of k8s.io/apimachinery v0.33.3 say: null where it refuses the selector. */
const recorded = readFileSync(path.join(__dirname, "selectors-0.33.3.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map(
    (line) =>
      JSON.parse(line) as {
        selector: string;
        labels?: readonly Labels[];
        matches: readonly boolean[] | null;
      },
  );

const key = fc.constantFrom("a", "b", "kubernetes.io/os", "in");
const value: fc.Arbitrary<string> = fc.constantFrom("", "x", "y", "notin", "5", "7");
const labelled = fc.dictionary(key, value, { noNullPrototype: true });
/** A requirement in words, with what it means: written down apart from the product's reading of it. */
const requirement = fc.oneof(
  fc.tuple(key, value).map(([k, v]) => ({ text: `${k}=${v}`, holds: (of: Labels) => of[k] === v })),
  fc.tuple(key, value).map(([k, v]) => ({ text: `${k} != ${v}`, holds: (of: Labels) => of[k] !== v })),
  fc
    .tuple(key, fc.array(value, { minLength: 1, maxLength: 3 }))
    .map(([k, vs]) => ({
      text: `${k} in (${vs.join(",")})`,
      holds: (of: Labels) => vs.includes(of[k] ?? "?"),
    }))
    .filter(({ text }) => !text.includes(",,")),
  fc
    .tuple(key, fc.array(value, { minLength: 1, maxLength: 3 }))
    .map(([k, vs]) => ({
      text: `${k} notin (${vs.join(",")})`,
      holds: (of: Labels) => !vs.includes(of[k] ?? "?"),
    }))
    .filter(({ text }) => !text.includes(",,")),
  key.map((k) => ({ text: k, holds: (of: Labels) => k in of })),
  key.map((k) => ({ text: `!${k}`, holds: (of: Labels) => !(k in of) })),
);
const selectors = fc.array(requirement, { minLength: 1, maxLength: 3 }).map((all) => ({
  text: all.map(({ text }) => text).join(","),
  holds: (of: Labels) => all.every(({ holds }) => holds(of)),
}));

describe("a label selector", () => {
  it("is read, refused and matched as Kubernetes does", () => {
    assert.ok(recorded.length > 200);
    for (const { selector, labels = [], matches: expected } of recorded) {
      if (expected === null) {
        assert.throws(() => parseSelector(selector), SelectorError, selector);
        continue;
      }
      const parsed = parseSelector(selector);
      assert.deepEqual(
        labels.map((each) => matches(parsed, each)),
        expected,
        selector,
      );
    }
  });

  it("means what its requirements mean, all of them", () => {
    fc.assert(
      fc.property(selectors, labelled, ({ text, holds }, labels) => {
        assert.equal(matches(parseSelector(text), labels), holds(labels));
      }),
    );
  });

  it("says what is wrong with it", () => {
    const wrong = (text: string): string => {
      try {
        parseSelector(text);
      } catch (error) {
        if (error instanceof SelectorError) return error.message;
        throw error;
      }
      return assert.fail(text);
    };
    assert.equal(wrong("a=b,"), "found its end, where a key is expected");
    assert.equal(wrong("a in b"), 'found "b", where "(" is expected');
    assert.equal(wrong("a in (b c)"), 'found "c", where "," or ")" is expected');
    assert.equal(wrong("a b"), 'found "b", where an operator is expected');
    assert.equal(wrong("a=(b"), 'found "(", where a value is expected');
    assert.equal(wrong("x/y/z"), '"x/y/z" is not the key of a label');
    assert.equal(wrong("a=-b"), '"-b" is not the value of a label');
    assert.equal(wrong("a>b"), '"b" is not a whole number');
  });

  it("is negated by what holds where a requirement does not", () => {
    const numbers = fc.constantFrom("0", "4", "5", "6", "9223372036854775807");
    const compared = fc
      .tuple(fc.constantFrom(">", "<"), numbers)
      .map(([symbol, number]) => `n${symbol}${number}`);
    const text = fc.oneof(
      requirement.map((each) => each.text),
      compared,
    );
    fc.assert(
      fc.property(text, labelled, fc.option(numbers), (selector, labels, number) => {
        const all = number === null ? labels : { ...labels, n: number };
        const parsed = parseSelector(selector);
        const instead = negated(parsed[0]!);
        assert.equal(
          instead.some((each) => matches([each], all)),
          !matches(parsed, all),
        );
      }),
    );
  });
});

describe("which nodes are meant", () => {
  it("is said by terms of node affinity too, one of which holds for just these nodes", () => {
    const one = fc.option(selectors, { nil: undefined });
    fc.assert(
      fc.property(one, one, labelled, (select, exclude, labels) => {
        const selection = { select: select?.text, exclude: exclude?.text };
        const isMeant = (select?.holds(labels) ?? true) && !exclude?.holds(labels);
        assert.equal(leftOutBy(labels, selection) === undefined, isMeant);
        const terms = selectionTerms(selection);
        assert.equal(terms === undefined, !select && !exclude);
        assert.equal(terms?.some((term) => matches(term, labels)) ?? true, isMeant);
      }),
    );
  });

  it("is told with the setting that leaves a node out", () => {
    const selection = { select: "pool=a", exclude: "kubernetes.io/os=windows" };
    assert.equal(leftOutBy({ pool: "a" }, selection), undefined);
    assert.equal(
      leftOutBy({ pool: "b", "kubernetes.io/os": "windows" }, selection),
      "nodes.exclude (kubernetes.io/os=windows)",
    );
    assert.equal(leftOutBy({}, selection), "nodes.select (pool=a)");
  });

  it("needs nothing of a Node but labels", () => {
    assert.deepEqual(listedNode({ metadata: { name: "w1", labels: { a: "b" } } }), {
      ...{ name: "w1", uid: "", labels: { a: "b" }, osImage: "", pins: {} },
    });
    assert.equal(listedNode(5), undefined);
  });

  const listed = (name: string, labels: Labels): ListedNode => ({
    ...{ name, uid: `uid-${name}`, osImage: "", pins: {}, labels },
  });
  it("can be told apart by a label that all of some have and none of the others, the system's first", () => {
    const os = (system: string): Labels => ({ "kubernetes.io/os": system, a: system });
    const linux = listed("l", os("linux"));
    assert.deepEqual(separating([listed("w", os("windows"))], [linux]), {
      is: "kubernetes.io/os=windows",
      isNot: "kubernetes.io/os!=windows",
    });
    const pool = (name: string, its: string): ListedNode =>
      listed(name, { "kubernetes.io/os": "linux", "kubernetes.io/hostname": name, pool: its });
    assert.equal(separating([pool("x", "b"), pool("y", "c")], [pool("z", "a")])!.is, "pool in (b,c)");
    // One of the others has the pool too: nothing but the names is left.
    assert.equal(
      separating([pool("x", "b"), pool("y", "c")], [pool("z", "c")])!.isNot,
      "kubernetes.io/hostname notin (x,y)",
    );
    assert.equal(separating([listed("x", {})], [linux]), undefined);
  });

  it("always leaves out those that are to be told apart, and no other", () => {
    const some = fc.array(labelled, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(some, some, (apart, others) => {
        const found = separating(
          apart.map((labels, index) => listed(`a${index}`, labels)),
          others.map((labels, index) => listed(`o${index}`, labels)),
        );
        if (!found) return;
        for (const [labels, expected] of [
          ...apart.map((each) => [each, true] as const),
          ...others.map((each) => [each, false] as const),
        ]) {
          assert.equal(matches(parseSelector(found.is), labels), expected, found.is);
          assert.equal(matches(parseSelector(found.isNot), labels), !expected, found.isNot);
        }
      }),
    );
  });
});
