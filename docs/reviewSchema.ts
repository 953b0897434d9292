/** `npm run docs`: writes review.schema.json, from cli/review/findings.ts. */
import * as path from "node:path";
import { z } from "zod";
import { reviewSchema } from "../cli/review/findings";
import { packageRoot } from "../support/build";
import { writeAnew } from "./writing";

export const reviewSchemaFile = path.join(packageRoot, "review.schema.json");

/** What review.schema.json is to be. Later releases may add fields, so that others are allowed. */
export function reviewJsonSchema(): string {
  const schema = {
    title: "What `npm run review -- --json` prints",
    $comment: "Written by `npm run docs` from cli/review/findings.ts.",
    ...z.toJSONSchema(reviewSchema, { io: "input" }),
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

if (require.main === module) writeAnew(reviewSchemaFile, reviewJsonSchema());
