/**
 * Keeps parts of Pulumi's SDK from being loaded that its index loads and no run of this program uses: the TypeScript
 * compiler, npm's resolver of dependencies, and what runs the CLI. They are half of a start: 0.5 s of CPU and 58 MB.
 *
 * `index.ts` imports this first, as the SDK's index loads them when it is loaded itself.
 */
import { Module, createRequire } from "node:module";

type Part = Record<string | symbol, unknown>;

const sdk = createRequire(__filename);

/** A part that is loaded when something of it is first used. */
const lazily = (load: () => Part): Part =>
  new Proxy(
    { __esModule: true }, // the SDK copies all that is in a module which is not one
    {
      get: (own, key) => (key in own ? own.__esModule : load()[key]),
      has: (own, key) => key in own || key in load(),
    },
  );

/** The parts by their files, and how each stands in until it is loaded. */
const parts: Readonly<Record<string, (load: () => Part) => Part>> = {
  "typescript-shim": lazily,
  automation: lazily,
  "runtime/closure/codePaths": (load) => ({
    computeCodePaths: (...args: unknown[]) =>
      (load()["computeCodePaths"] as (...args: unknown[]) => unknown)(...args),
  }),
};

for (const [part, standIn] of Object.entries(parts)) {
  let file: string;
  try {
    file = sdk.resolve(`@pulumi/pulumi/${part}`);
  } catch {
    continue; // another release of the SDK: it loads what it loads
  }
  if (sdk.cache[file]) continue;
  let loaded: Part | undefined;
  const load = (): Part => {
    if (loaded) return loaded;
    Reflect.deleteProperty(sdk.cache, file);
    return (loaded = sdk(file) as Part);
  };
  const module = new Module(file);
  Object.assign(module, { filename: file, loaded: true, exports: standIn(load) });
  sdk.cache[file] = module;
}
