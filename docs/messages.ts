/**
 * Reads out of the sources what problems are told by: of each `{ code, seen, remedy }` the texts as they are written,
 * for every way through conditions, tables and helpers that leads to them.
 */
import { readFileSync } from "node:fs";
import * as path from "node:path";
import ts from "typescript";
import { nodeScript } from "../nodes/script/script";
import { catalog } from "../support/catalog";

const root = path.join(__dirname, "..");

/** One way in which a problem is told. */
export interface Message {
  readonly code: string;
  readonly seen: string;
  readonly remedy: string;
}

/** What is said of a setting that does not go with another. */
export interface SettingRule {
  readonly setting: string;
  /** Nothing where it is told as a value of the wrong shape is. */
  readonly seen: string;
  readonly remedy: string;
}

const codes: ReadonlySet<string> = new Set(Object.values(catalog).flatMap((area) => Object.keys(area)));

/** What a parameter of such a name holds is part of a message; of others the name is shown. */
const followed = new Set(["code", "seen", "remedy", "why"]);

/** Functions that give what they are given, in another form. */
const asGiven = new Set(["printable", "lastWords", "String", "Number"]);

/** What is decided on one way through the sources. */
interface Way {
  /** What parameters were given, by the calls on this way; `undefined` where nothing was. */
  readonly given: ReadonlyMap<ts.ParameterDeclaration, ts.Expression | undefined>;
  /** How conditions turn out, and by which key tables are read, by their {@link Sources.named} text. */
  readonly decided: ReadonlyMap<string, string>;
}

/** Thrown where a way branches: it is begun again on each branch. */
class Branches extends Error {
  constructor(readonly ways: readonly Way[]) {
    super();
  }
}

/** A text whose holes are filled, or nothing (`undefined` in the sources). */
type Text = string | undefined;

const hole = (name: string): string => `‹${name}›`;

/** `notAfter` as people would write it. */
const words = (name: string): string => name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

const unwrapped = (node: ts.Expression): ts.Expression =>
  ts.isParenthesizedExpression(node) ||
  ts.isAsExpression(node) ||
  ts.isSatisfiesExpression(node) ||
  ts.isNonNullExpression(node)
    ? unwrapped(node.expression)
    : node;

type Callable = ts.FunctionDeclaration | ts.ArrowFunction | ts.MethodDeclaration | ts.ConstructorDeclaration;

const isCallable = (node: ts.Node): node is Callable =>
  ts.isFunctionDeclaration(node) ||
  ts.isArrowFunction(node) ||
  ts.isMethodDeclaration(node) ||
  ts.isConstructorDeclaration(node);

const longest = 30;

/** Two texts of which one stands within a longer one; `undefined` where that is told better by two sentences. */
function oneOrOther(one: string, other: string): string | undefined {
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  if (long.startsWith(short)) {
    const more = long.slice(short.length);
    return short + more.replace(/\S.*\S|\S/, (words) => `[${words}]`);
  }
  // A word that stands in for what would else be shown says nothing of its own.
  const holes = [one, other].filter((text) => /^‹[^‹›]*›$/.test(text));
  if (holes.length === 1) return holes[0];
  return one.length + other.length <= longest ? `(${one}|${other})` : undefined;
}

class Sources {
  private readonly files: readonly ts.SourceFile[];
  private readonly checker: ts.TypeChecker;
  private readonly calls = new Map<Callable, (ts.CallExpression | ts.NewExpression)[]>();

  constructor() {
    const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), (file) =>
      readFileSync(file, "utf8"),
    ) as { config: unknown };
    const { fileNames: all, options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const fileNames = all.filter((file) => !/^(?:docs|lab|test)\//.test(path.relative(root, file)));
    const host = ts.createCompilerHost(options);
    // Of packages no type is needed, and to read them all takes its time.
    host.resolveModuleNameLiterals = (literals, from) =>
      literals.map(({ text }) =>
        text.startsWith(".")
          ? ts.resolveModuleName(text, from, options, host)
          : { resolvedModule: undefined },
      );
    const program = ts.createProgram(fileNames, { ...options, types: [] }, host);
    this.checker = program.getTypeChecker();
    // By name: the program's own order is that of imports, by which the page would change with each of them.
    this.files = [...fileNames].sort().flatMap((name) => program.getSourceFile(name) ?? []);
    const indirect: (ts.CallExpression | ts.NewExpression)[] = [];
    this.each((node) => {
      if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return;
      const callee = this.declarationOf(node.expression);
      if (callee && ts.isParameter(callee)) indirect.push(node);
      for (const target of this.callables(node.expression)) this.addCall(target, node);
    });
    // What is called is what was given for a parameter.
    for (const call of indirect) {
      const parameter = this.declarationOf(call.expression) as ts.ParameterDeclaration;
      const owner = parameter.parent;
      if (!isCallable(owner)) continue;
      for (const { arguments: given } of this.calls.get(owner) ?? []) {
        const argument = given?.[owner.parameters.indexOf(parameter)];
        if (argument) for (const target of this.callables(argument)) this.addCall(target, call);
      }
    }
  }

  private each(visit: (node: ts.Node) => void): void {
    const walk = (node: ts.Node): void => {
      visit(node);
      ts.forEachChild(node, walk);
    };
    this.files.forEach(walk);
  }

  private addCall(target: Callable, call: ts.CallExpression | ts.NewExpression): void {
    this.calls.set(target, [...(this.calls.get(target) ?? []), call]);
  }

  private symbolOf(node: ts.Node): ts.Symbol | undefined {
    const symbol =
      ts.isIdentifier(node) && ts.isShorthandPropertyAssignment(node.parent)
        ? this.checker.getShorthandAssignmentValueSymbol(node.parent)
        : this.checker.getSymbolAtLocation(node);
    return symbol && (symbol.flags & ts.SymbolFlags.Alias) !== 0
      ? this.checker.getAliasedSymbol(symbol)
      : symbol;
  }

  private declarationOf(node: ts.Node): ts.Declaration | undefined {
    return this.symbolOf(node)?.declarations?.[0];
  }

  /** The functions that an expression may stand for. */
  private callables(expression: ts.Expression): Callable[] {
    const declaration = this.declarationOf(expression);
    if (!declaration) return [];
    if (ts.isClassDeclaration(declaration)) return declaration.members.filter(ts.isConstructorDeclaration);
    const value = ts.isVariableDeclaration(declaration) ? declaration.initializer : declaration;
    return value && isCallable(value) ? [value] : [];
  }

  /** Conditions and keys of one name are taken for one: `error.reason` and `reason`. */
  private named(expression: ts.Expression): string {
    return unwrapped(expression)
      .getText()
      .replace(/\s+/g, " ")
      .replace(/\b\w+\./g, "");
  }

  /** The properties of an object literal, those that it takes over from others included. */
  private properties(literal: ts.ObjectLiteralExpression): Map<string, ts.Expression> {
    const found = new Map<string, ts.Expression>();
    for (const property of literal.properties) {
      if (ts.isPropertyAssignment(property)) {
        const { name } = property;
        if (ts.isIdentifier(name) || ts.isStringLiteral(name)) found.set(name.text, property.initializer);
      } else if (ts.isShorthandPropertyAssignment(property)) found.set(property.name.text, property.name);
      else if (ts.isSpreadAssignment(property)) {
        const spread = this.objectOf(property.expression);
        if (spread) for (const [name, value] of this.properties(spread)) found.set(name, value);
      }
    }
    return found;
  }

  /** The object literal that an expression stands for. */
  private objectOf(expression: ts.Expression): ts.ObjectLiteralExpression | undefined {
    const node = unwrapped(expression);
    if (ts.isObjectLiteralExpression(node)) return node;
    const initializer = this.constant(node);
    return initializer && this.objectOf(initializer);
  }

  /** What a constant was made with. */
  private constant(node: ts.Node): ts.Expression | undefined {
    const declaration = ts.isIdentifier(node) ? this.declarationOf(node) : undefined;
    return declaration &&
      ts.isVariableDeclaration(declaration) &&
      ts.isVariableDeclarationList(declaration.parent) &&
      (declaration.parent.flags & ts.NodeFlags.Const) !== 0
      ? declaration.initializer
      : undefined;
  }

  /** The parameter, of a function or a constructor that keeps it as a property, that an expression stands for. */
  private parameter(node: ts.Expression): ts.ParameterDeclaration | undefined {
    const declaration = ts.isIdentifier(node)
      ? this.declarationOf(node)
      : ts.isPropertyAccessExpression(node)
        ? this.declarationOf(node.name)
        : undefined;
    return declaration && ts.isParameter(declaration) && ts.isIdentifier(declaration.name)
      ? declaration
      : undefined;
  }

  /** What a parameter was given on this way: it branches into the calls of the function, where they are ours. */
  private argument(parameter: ts.ParameterDeclaration, way: Way): ts.Expression | undefined {
    if (way.given.has(parameter)) return way.given.get(parameter) ?? parameter.initializer;
    const owner = parameter.parent as Callable;
    throw new Branches(
      (this.calls.get(owner) ?? []).map((call) => ({
        ...way,
        given: new Map([
          ...way.given,
          ...owner.parameters.map((each, at) => [each, call.arguments?.[at]] as const),
        ]),
      })),
    );
  }

  private decide(name: string, options: readonly string[], way: Way): string {
    const decided = way.decided.get(name);
    if (decided !== undefined) return decided;
    throw new Branches(
      options.map((option) => ({ ...way, decided: new Map([...way.decided, [name, option]]) })),
    );
  }

  /** Whether a condition is known to hold on this way. */
  private known(condition: ts.Expression, way: Way): boolean | undefined {
    const decided = way.decided.get(this.named(condition));
    if (decided !== undefined) return decided === "true";
    if (!ts.isBinaryExpression(condition) || !ts.isStringLiteral(condition.right)) return undefined;
    const left = way.decided.get(this.named(condition.left));
    if (left === undefined) return undefined;
    const same = left === condition.right.text;
    return condition.operatorToken.kind === ts.SyntaxKind.EqualsEqualsEqualsToken ? same : !same;
  }

  private literals(expression: ts.Expression): string[] {
    const type = this.checker.getTypeAtLocation(expression);
    const members = type.isUnion() ? type.types : [type];
    return members.flatMap((member) => (member.isStringLiteral() ? [member.value] : []));
  }

  /**
   * What a text is on this way.
   *
   * @param within - Whether it is part of a longer text, in which a name stands for what isn't known here.
   */
  private text(expression: ts.Expression, way: Way, within: boolean): Text {
    const node = unwrapped(expression);
    if (ts.isStringLiteralLike(node) || ts.isNumericLiteral(node)) return node.text;
    if (ts.isTemplateExpression(node)) {
      return (
        node.head.text +
        node.templateSpans
          .map((span) => (this.text(span.expression, way, true) ?? "") + span.literal.text)
          .join("")
      );
    }
    if (ts.isConditionalExpression(node)) return this.either(node, way, within);
    if (ts.isBinaryExpression(node)) {
      switch (node.operatorToken.kind) {
        case ts.SyntaxKind.PlusToken:
          if (!this.isText(node)) break; // a sum
          return (this.text(node.left, way, true) ?? "") + (this.text(node.right, way, true) ?? "");
        case ts.SyntaxKind.QuestionQuestionToken:
        case ts.SyntaxKind.BarBarToken:
          return this.text(node.left, way, within) ?? this.text(node.right, way, within);
      }
    }
    if (ts.isIdentifier(node) && node.text === "undefined") return undefined;
    if (ts.isElementAccessExpression(node)) {
      const table = this.objectOf(node.expression);
      if (table) return this.entry(table, node.argumentExpression, way, within);
    }
    const constant = this.constant(node);
    if (constant && this.isText(constant)) return this.text(constant, way, within);
    const parameter = this.parameter(node);
    if (
      parameter &&
      this.calls.has(parameter.parent as Callable) &&
      (!within || followed.has(parameter.name.getText()))
    ) {
      const argument = this.argument(parameter, way);
      return argument && this.text(argument, way, within);
    }
    if (ts.isCallExpression(node) && !within) {
      const result = this.result(node, way);
      if (result) return this.text(result.expression, { ...way, given: result.given }, within);
    }
    return hole(this.nameOf(node));
  }

  /** Whether an expression is written as a text, and not something that is known by its name. */
  private isText(expression: ts.Expression): boolean {
    const node = unwrapped(expression);
    if (ts.isStringLiteralLike(node) || ts.isNumericLiteral(node) || ts.isTemplateExpression(node))
      return true;
    if (ts.isConditionalExpression(node))
      return [node.whenTrue, node.whenFalse].every(
        (branch) => this.isText(branch) || branch.getText() === "undefined",
      );
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken)
      return [node.left, node.right].some((part) => this.isText(part) && !ts.isNumericLiteral(part));
    return this.isEntry(node);
  }

  private isEntry(node: ts.Expression): boolean {
    return ts.isElementAccessExpression(node) && this.objectOf(node.expression) !== undefined;
  }

  private either(node: ts.ConditionalExpression, way: Way, within: boolean): Text {
    const { condition, whenTrue, whenFalse } = node;
    const known = this.known(condition, way);
    if (known !== undefined) return this.text(known ? whenTrue : whenFalse, way, within);
    if (within) {
      const [yes, no] = [this.text(whenTrue, way, true) ?? "", this.text(whenFalse, way, true) ?? ""];
      const further = [whenTrue, whenFalse].some((branch) => ts.isConditionalExpression(unwrapped(branch)));
      const joined = further ? undefined : oneOrOther(yes, no);
      if (joined !== undefined) return joined;
    }
    const decision = this.decide(this.named(condition), ["true", "false"], way);
    return this.text(decision === "true" ? whenTrue : whenFalse, way, within);
  }

  private entry(table: ts.ObjectLiteralExpression, key: ts.Expression, way: Way, within: boolean): Text {
    const entries = this.properties(table);
    const keys = this.literals(key);
    const chosen = this.decide(this.named(key), keys.length > 0 ? keys : [...entries.keys(), ""], way);
    const found = entries.get(chosen);
    return found && this.text(found, way, within);
  }

  /** What a function of ours returns, where there is one `return`. */
  private result(
    call: ts.CallExpression,
    way: Way,
  ): { readonly expression: ts.Expression; readonly given: Way["given"] } | undefined {
    const [callee] = this.callables(call.expression);
    if (!callee?.body) return undefined;
    const returns: ts.Expression[] = [];
    const walk = (node: ts.Node): void => {
      if (ts.isReturnStatement(node) && node.expression) returns.push(node.expression);
      if (!isCallable(node)) ts.forEachChild(node, walk);
    };
    if (ts.isBlock(callee.body)) walk(callee.body);
    else returns.push(callee.body);
    const [expression, ...others] = returns;
    if (!expression || others.length > 0 || !this.isText(expression)) return undefined;
    const given = callee.parameters.map((each, at) => [each, call.arguments[at]] as const);
    return { expression, given: new Map([...way.given, ...given]) };
  }

  /** A name for what an expression gives. */
  private nameOf(expression: ts.Expression): string {
    const node = unwrapped(expression);
    if (ts.isIdentifier(node)) return words(node.text);
    if (ts.isPropertyAccessExpression(node))
      return ["length", "size"].includes(node.name.text) ? "number" : words(node.name.text);
    if (ts.isElementAccessExpression(node)) return this.nameOf(node.expression);
    if (ts.isBinaryExpression(node)) return this.nameOf(node.left);
    if (ts.isNewExpression(node) && node.arguments?.[0]) return this.nameOf(node.arguments[0]);
    if (ts.isCallExpression(node)) {
      const { expression: callee, arguments: given } = node;
      if (ts.isIdentifier(callee) && !asGiven.has(callee.text))
        return words(callee.text.replace(/^(describe|shown?)(?=[A-Z])|(Of|At|To)$/g, ""));
      if (ts.isIdentifier(callee) && given[0]) return this.nameOf(given[0]);
      if (ts.isPropertyAccessExpression(callee)) {
        const on = unwrapped(callee.expression);
        const isGlobal = ts.isIdentifier(on) && /^[A-Z]/.test(on.text);
        return this.nameOf(isGlobal && given[0] ? given[0] : on);
      }
    }
    return "…";
  }

  private codeOf(expression: ts.Expression, way: Way): string {
    const node = unwrapped(expression);
    const typed = this.literals(node);
    if (typed.length === 1) return typed[0]!;
    if (ts.isTemplateExpression(node)) {
      return (
        node.head.text +
        node.templateSpans
          .map(({ expression: part, literal }) => {
            return this.decide(this.named(part), this.literals(part), way) + literal.text;
          })
          .join("")
      );
    }
    const parameter = this.parameter(node);
    const argument = parameter && this.argument(parameter, way);
    if (argument) return this.codeOf(argument, way);
    // One that isn't written here, but known by its type.
    const constant = this.constant(node);
    if (constant && !this.isText(constant) && typed.length > 0)
      return this.decide(this.named(node), typed, way);
    return this.text(node, way, false) ?? "";
  }

  /** What a literal's properties are on each way that leads to it. */
  private onEachWay<T>(read: (way: Way) => T): T[] {
    const found: T[] = [];
    const ways: Way[] = [{ given: new Map(), decided: new Map() }];
    for (let way = ways.shift(); way; way = ways.shift()) {
      try {
        found.push(read(way));
      } catch (error) {
        if (!(error instanceof Branches)) throw error;
        ways.unshift(...error.ways);
      }
    }
    return found;
  }

  /** All ways in which problems are told. */
  messages(): Message[] {
    return this.literalsWith("code", "seen", "remedy").flatMap(({ at, properties }) =>
      this.onEachWay((way) => {
        const code = this.codeOf(properties.get("code")!, way);
        if (!codes.has(code)) throw new Error(`${at}: its code can't be told: ${code}`);
        const [seen = "", remedy = ""] = ["seen", "remedy"].map((name) =>
          this.text(properties.get(name)!, way, false),
        );
        return { code, seen, remedy };
      }),
    );
  }

  /** What is said of settings that don't go together. */
  settingRules(): SettingRule[] {
    return this.literalsWith("path", "message").flatMap(({ properties }) => {
      const at = properties.get("path")!;
      const parts = ts.isArrayLiteralExpression(at) ? at.elements : [];
      const setting = parts
        .map((part) => (ts.isStringLiteral(part) ? `.${part.text}` : `[${hole(this.nameOf(part))}]`))
        .join("")
        .slice(1);
      const params = properties.get("params");
      const shown = params && ts.isObjectLiteralExpression(params) && this.properties(params).get("seen");
      return this.onEachWay((way) => {
        const seen = shown ? this.text(shown, way, false) : undefined;
        return { setting, seen: seen ?? "", remedy: this.text(properties.get("message")!, way, false) ?? "" };
      });
    });
  }

  private literalsWith(...names: string[]): { at: string; properties: ReadonlyMap<string, ts.Expression> }[] {
    const found: { at: string; properties: ReadonlyMap<string, ts.Expression> }[] = [];
    this.each((node) => {
      if (!ts.isObjectLiteralExpression(node)) return;
      const properties = this.properties(node);
      if (!names.every((name) => properties.has(name))) return;
      const file = node.getSourceFile();
      const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      found.push({ at: `${path.relative(root, file.fileName)}:${line}`, properties });
    });
    return found;
  }
}

/** What the scripts that run on nodes say is wrong, by the word that they say it with. */
function scriptDetails(): Map<string, string[]> {
  const script = nodeScript().text;
  const deliver = readFileSync(path.join(root, "nodes", "script", "deliver.sh"), "utf8");
  const details = new Map<string, string[]>();
  const add = (word: string, texts: readonly string[]): void =>
    void details.set(word, [...(details.get(word) ?? []), ...texts]);
  const filled = (text: string): string =>
    text
      .replace(/\$\([^]*$/, hole("…"))
      .replace(/\$\{?(\w+)[^\s"}]*\}|\$(\w+)/g, (_, braced?: string, bare?: string) => {
        const name = braced ?? bare!;
        return hole(/\d/.test(name) ? "name" : words(name.replaceAll("_", " ")));
      });
  for (const [, word, text] of script.matchAll(/\bfail ([a-z-]+) "((?:\$\([^]*?\)"|[^"])*)/g)) {
    // What is found wrong at one place is told at another.
    const variable = /^\$(\w+)$/.exec(text!)?.[1];
    const texts = variable
      ? [...script.matchAll(new RegExp(`\\b${variable}="([^"]+)"`, "g"))].map(([, given]) => given!)
      : [text!];
    add(word!, texts.map(filled));
  }
  for (const [, word, text] of deliver.matchAll(/error=([a-z-]+)\\ndetail=([^\\]+)/g)) add(word!, [text!]);
  return details;
}

/** Everything that operators are told. */
export function collect(): { readonly messages: readonly Message[]; readonly rules: readonly SettingRule[] } {
  const sources = new Sources();
  const details = scriptDetails();
  const messages = sources.messages().flatMap((message): Message[] => {
    const said = message.seen.includes(hole("detail")) ? details.get(message.code.replace("node-", "")) : [];
    return said?.length ? said.map((seen) => ({ ...message, seen })) : [message];
  });
  for (const word of details.keys()) {
    if (!messages.some(({ code }) => code === `node-${word}`))
      throw new Error(`nodes/operations/node.ts has no remedy for what a script says is wrong: ${word}`);
  }
  // What passes on the words of another message says nothing of its own.
  const own = messages.filter(({ seen, remedy }) => ![seen, remedy].every((text) => /^‹[^‹›]*›$/.test(text)));
  return { messages: own, rules: sources.settingRules() };
}
