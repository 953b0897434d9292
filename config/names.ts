/** The names of settings in messages. */

const defaultProject = "tkc-registry";

/** A setting as the subject of a problem: `setting tkc-registry:nodes.user`. */
export const settingSubject = (name: string, project = defaultProject): string =>
  `setting ${project}:${name}`;

/** The name of the setting at a path: `registries[0].ca.sha256`. */
export const settingName = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    const key = String(part);
    if (!/^\w+$/.test(key)) return `${name}[${JSON.stringify(key)}]`;
    return name === "" ? key : `${name}.${key}`;
  }, "");
