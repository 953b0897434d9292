/**
 * The running stack's settings.
 * Nothing else reads Pulumi's configuration.
 */
import * as pulumi from "@pulumi/pulumi";
import * as z from "zod";
import { type Settings, ownSettings, parseSettings } from "./settings";

/**
 * Reads the stack's settings.
 *
 * @throws UserError naming every setting that is missing, unknown or of the wrong shape.
 */
export function readSettings(): Settings {
  const project = pulumi.getProject();
  const { values, problems } = ownSettings(pulumi.runtime.allConfig(), project);
  // The language host gives the names of encrypted settings; the SDK has no public function for them.
  const secretKeys = z.array(z.string()).parse(JSON.parse(process.env["PULUMI_CONFIG_SECRET_KEYS"] ?? "[]"));
  const secretNames = new Set(secretKeys.map((key) => key.slice(project.length + 1)));
  return parseSettings(values, secretNames, project, problems);
}
