/**
 * `npm run review`: what a preview of the stack says, for a pull request.
 * It never changes anything, and prints only what it names one by one.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { UserError } from "../../support/errors";
import { cliProblem } from "../problems";
import { type Request, readRequest } from "./arguments";
import { describeReview } from "./describe";
import type { Review } from "./findings";
import { judge } from "./judge";
import { nodeNames } from "./nodes";
import { PreviewRefused, runPreview } from "./preview";
import { comparePlans, parseSavedPlan, readSavedPlan } from "./savedPlan";

async function findOut({ stack, configFile, isProtected, plan }: Request): Promise<Review> {
  if (plan === undefined) {
    const preview = await runPreview(stack, { configFile });
    return judge(preview, { stack, isProtected, now: new Date(), differences: undefined });
  }
  const saved = await readSavedPlan(plan);
  const folder = await mkdtemp(path.join(tmpdir(), "tkc-registry-review-"));
  try {
    const file = path.join(folder, "plan.json");
    const preview = await runPreview(stack, { configFile, savePlan: file });
    const now = parseSavedPlan(await readFile(file, "utf8"), "what it wrote now");
    const differences = comparePlans(saved, now, nodeNames(preview));
    return judge(preview, { stack, isProtected, now: new Date(), differences });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes the file whole or not at all. */
async function writeOut(file: string, text: string): Promise<void> {
  const aside = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(aside, text, { flag: "wx" });
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    const seen = `${path.resolve(file)} cannot be written (${(error as NodeJS.ErrnoException).code ?? ""})`;
    throw cliProblem.error("out-not-written", { subject: "--out", seen });
  }
}

const print = (text: string): Promise<void> =>
  new Promise((resolve) => void process.stdout.write(text, () => resolve()));

/** `npm run review -- …`: see the text of `--help`. */
export async function review(args: readonly string[]): Promise<void> {
  process.exitCode = 2; // until it is known
  const request = readRequest(args);
  if (!request) {
    process.exitCode = 0;
    return;
  }
  try {
    const found = await findOut(request);
    const text = request.json ? `${JSON.stringify(found, undefined, 2)}\n` : describeReview(found);
    if (request.out === undefined) await print(text);
    else await writeOut(request.out, text);
    process.exitCode = (found.plan === null ? found.changes : !found.plan.holds) ? 1 : 0;
  } catch (error) {
    if (!(error instanceof UserError) && !(error instanceof PreviewRefused)) throw error;
    process.stderr.write(`${error.message}\n`);
  }
}
