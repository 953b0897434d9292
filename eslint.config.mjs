import js from "@eslint/js";
import pulumi from "@pulumi/eslint-plugin";
import tseslint from "typescript-eslint";

/**
 * The rooms of the program, from top to bottom. A file imports from its own room and from the lines below it; of its
 * own line only from the rooms that `beside` names.
 */
export const rooms = [
  ["index.ts", "cli"],
  ["components"],
  ["plan"],
  ["config", "state"],
  ["vsphere", "nodes", "kubernetes", "registry"],
  ["net", "certificates"],
  ["support"],
];
export const beside = {
  vsphere: ["nodes", "kubernetes"],
  nodes: ["kubernetes"],
  net: ["certificates"],
};
/** Folders of this repository that no room uses. */
export const outside = ["lab", "test", "docs", "examples"];
/** Where Pulumi's SDK may be imported. Everything else runs without it. */
const withPulumi = ["index.ts", "components/**/*.ts", "config/**/*.ts", "state/previousState.ts"];

/** How deep folders may be nested in a room. */
const depths = [1, 2, 3];
const everyRoom = rooms.flat();

const forbiddenRooms = (room) => {
  const line = rooms.findIndex((names) => names.includes(room));
  const allowed = [room, ...(beside[room] ?? []), ...rooms.slice(line + 1).flat()];
  return [...everyRoom.filter((name) => !allowed.includes(name)), ...outside];
};

const wholeZod = {
  selector: 'ImportDeclaration[source.value="zod"] ImportSpecifier[imported.name="z"]',
  message: 'Write `import * as z from "zod"`: by the name `z`, all locales come into the bundles.',
};

/** Refuses modules by a regular expression, however they are imported. */
const refuse = (regexes) => ({
  "no-restricted-imports": ["error", { patterns: regexes }],
  "no-restricted-syntax": [
    "error",
    wholeZod,
    ...regexes.flatMap(({ regex, message }) => {
      const pattern = regex.replaceAll("/", "\\x2F");
      return [
        { selector: `ImportExpression[source.value=/${pattern}/]`, message },
        { selector: `TSImportType[source.value=/${pattern}/]`, message },
        { selector: `CallExpression[callee.name="require"][arguments.0.value=/${pattern}/]`, message },
      ];
    }),
  ],
});

const pulumiSdk = {
  regex: "^@pulumi/",
  message: "Pulumi is for index.ts, components/, config/ and state/previousState.ts.",
};

const directions = everyRoom.flatMap((room) => {
  const names = forbiddenRooms(room).map((name) => name.replace(/\.ts$/, ""));
  const isFile = room.endsWith(".ts");
  return (isFile ? [0] : depths).flatMap((depth) => {
    const up = depth === 0 ? "\\./" : "(\\./)?" + "\\.\\./".repeat(depth);
    const direction = {
      regex: `^${up}(${names.join("|")})(/|\\.js$|$)`,
      message: `${room} imports only from itself and from the rooms below it (eslint.config.mjs lists them).`,
    };
    const files = isFile ? [room] : [`${room}/${"*/".repeat(depth - 1)}*.ts`];
    return [
      { files, rules: refuse([direction, pulumiSdk]) },
      { files: withPulumi.map((allowed) => [files[0], allowed]), rules: refuse([direction]) },
    ];
  });
});

export default tseslint.config(
  { ignores: ["dist/", "lab/.lab/", "node_modules/"] },
  js.configs.recommended,
  {
    files: ["*.js"],
    languageOptions: {
      sourceType: "commonjs",
      globals: { require: "readonly", module: "writable", __dirname: "readonly" },
    },
  },
  {
    files: ["**/*.ts"],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: "./tsconfig.check.json", tsconfigRootDir: import.meta.dirname },
    },
    plugins: { "@pulumi": pulumi },
    rules: {
      "@pulumi/no-output-in-template-literal": "error",
      "@pulumi/no-output-instance-in-template-literal": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-floating-promises": [
        "error",
        // node:test's own promises are awaited by its runner.
        {
          allowForKnownSafeCalls: [
            { from: "package", package: "node:test", name: ["test", "it", "describe", "suite"] },
          ],
        },
      ],
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  ...directions,
);
