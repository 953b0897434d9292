import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import ts from "typescript";
import { problems } from "../../docs/errors";
import { labProblem } from "../../lab/problems";
import { scriptCodes } from "../../nodes/operations/node";
import { nodeProblem } from "../../nodes/problems";
import { remedyText } from "../../support/errors";

const root = path.join(__dirname, "..", "..");
const parsed = ts.getParsedCommandLineOfConfigFile(path.join(root, "tsconfig.json"), undefined, {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: ({ messageText }) => assert.fail(JSON.stringify(messageText)),
});
/** The tests' own runner throws as well. */
const sources = parsed!.fileNames
  .map((file) => path.relative(root, file))
  .filter((file) => !/^(?:docs|test)\//.test(file) || file === "test/main.ts");
const lists: Readonly<Record<string, (typeof problems)[string]>> = {
  ...problems,
  "lab/problems.ts": labProblem,
};
const codes = Object.values(lists).flatMap(({ kinds }) => Object.keys(kinds));

/** Texts that are only compared with: the code of a problem that somebody else made. */
function isCompared(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isBinaryExpression(parent))
    return [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken].includes(
      parent.operatorToken.kind,
    );
  return ts.isArrayLiteralExpression(parent) && ts.isNewExpression(parent.parent);
}

/** What of a file may be thrown, and the problems that are made in it without their list. */
function readSource(file: string): { texts: string[]; unlisted: string[] } {
  const source = ts.createSourceFile(
    file,
    readFileSync(path.join(root, file), "utf8"),
    ts.ScriptTarget.Latest,
    true,
  );
  const texts: string[] = [];
  const unlisted: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node)) return;
    if (ts.isStringLiteral(node) && !isCompared(node)) texts.push(node.text);
    if (ts.isObjectLiteralExpression(node)) {
      const names = node.properties.map(({ name }) => name?.getText());
      if (names.includes("code") && names.includes("remedy")) unlisted.push(`${file}: ${node.getText()}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { texts, unlisted };
}

describe("problems", () => {
  const read = sources.filter((file) => !file.endsWith("problems.ts")).map(readSource);

  it("are all thrown somewhere", () => {
    const texts = new Set(read.flatMap((file) => file.texts));
    assert.deepEqual(
      codes.filter((code) => !texts.has(code)),
      [],
    );
  });

  it("are thrown only by their lists, which do not take a code that they do not have", () => {
    assert.deepEqual(
      read.flatMap((file) => file.unlisted).filter((found) => !found.startsWith("support/errors.ts: ")),
      [],
    );
    assert.throws(() =>
      // @ts-expect-error -- no such code
      nodeProblem("node-unheard-of", { subject: "node a", seen: "" }),
    );
  });

  it("are in lists that docs/errors.md has all of, each code in one", () => {
    assert.deepEqual(
      sources.filter((file) => file.endsWith("/problems.ts")).sort(),
      Object.keys(lists).sort(),
    );
    assert.equal(new Set(codes).size, codes.length);
  });

  it("of the node script are what the script reports", () => {
    const folder = path.join(root, "nodes", "script");
    const parts = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
      /\.(?:sh|ts)$/.test(file),
    );
    const text = parts.map((file) => readFileSync(path.join(folder, file), "utf8")).join("\n");
    const reported = [...text.matchAll(/(?:\bfail |error=)([a-z][a-z-]+)/g)].map(
      ([, word]) => `node-${word!}`,
    );
    assert.ok(reported.length > scriptCodes.length);
    assert.deepEqual([...new Set(reported)].sort(), [...scriptCodes].sort());
  });

  it("have examples that their remedies take", () => {
    for (const { kinds } of Object.values(lists))
      for (const { remedy, examples } of Object.values(kinds))
        for (const [, , ...values] of examples) assert.match(remedyText(remedy, values), /^[A-Z`'].*[^.]$/s);
  });
});
