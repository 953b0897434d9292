/** The names of settings in messages. */

const defaultProject = "tkc-registry";

/** A setting as the subject of a problem: `setting tkc-registry:nodes.user`. */
export const settingSubject = (name: string, project = defaultProject): string =>
  `setting ${project}:${name}`;

/** The name of a setting in a section, where it may be a part of a list: `pullSecret.name`; the section's own for "". */
export const settingIn = (section: string, name: string): string =>
  [section, name].filter((part) => part !== "").join(".");

/** The name of the setting at a path: `registries[0].ca.sha256`. */
export const settingName = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    const key = String(part);
    if (!/^\w+$/.test(key)) return `${name}[${JSON.stringify(key)}]`;
    return name === "" ? key : `${name}.${key}`;
  }, "");
