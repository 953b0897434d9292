import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import * as path from "node:path";
import { PackageDependency, PackageParameterization } from "@pulumi/pulumi/proto/plugin_pb";

/** What a package that brings a provider says of it in its `package.json`. */
interface PackageJson {
  readonly name?: string;
  readonly version?: string;
  readonly pulumi?: {
    readonly resource?: boolean;
    readonly name?: string;
    readonly version?: string;
    readonly server?: string;
    readonly parameterization?: { readonly name: string; readonly version: string; readonly value: string };
  };
}

function readPackageJson(folder: string): PackageJson | undefined {
  try {
    return JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as PackageJson;
  } catch {
    return undefined; // a folder that is no package, or none that npm would take
  }
}

/** Undefined for a package with no provider, and for one that fails to name it: only Pulumi's own need not. */
function provider({ name = "", version, pulumi }: PackageJson): PackageDependency | undefined {
  const pluginName = pulumi?.name ?? /^@pulumi\/(.+)$/.exec(name)?.[1];
  const pluginVersion = pulumi?.version ?? version;
  if (pulumi?.resource !== true || !pluginName || !pluginVersion) return undefined;
  const dependency = new PackageDependency();
  dependency.setName(pluginName);
  dependency.setKind("resource");
  dependency.setVersion(pluginVersion.startsWith("v") ? pluginVersion : `v${pluginVersion}`);
  dependency.setServer(pulumi.server ?? "");
  if (pulumi.parameterization) {
    const parameterization = new PackageParameterization();
    parameterization.setName(pulumi.parameterization.name);
    parameterization.setVersion(pulumi.parameterization.version);
    parameterization.setValue(pulumi.parameterization.value);
    dependency.setParameterization(parameterization);
  }
  return dependency;
}

/** The packages that are installed for the one in `folder`, and for each of those. */
function installedPackages(folder: string, seen: Set<string>): string[] {
  const modules = path.join(folder, "node_modules");
  if (!existsSync(modules)) return [];
  const entries = readdirSync(modules).sort();
  return entries
    .flatMap((entry) =>
      entry.startsWith("@")
        ? readdirSync(path.join(modules, entry)).map((name) => path.join(modules, entry, name))
        : [path.join(modules, entry)],
    )
    .flatMap((link) => {
      const real = existsSync(link) ? realpathSync(link) : undefined;
      if (real === undefined || seen.has(real)) return [];
      seen.add(real);
      return [real, ...installedPackages(real, seen)];
    });
}

/**
 * The providers that a program's packages need. The official language host looks through every other folder of the
 * program too, for packages that no `require` of the program would find.
 */
export const requiredPackages = (folder: string): PackageDependency[] =>
  installedPackages(folder, new Set()).flatMap((each) => {
    const found = provider(readPackageJson(each) ?? {});
    return found ? [found] : [];
  });
