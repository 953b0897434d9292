/** The settings of the order in which nodes are done. */
import * as z from "zod";
import { checkSelector, flag, image, selectorShape, shaped, whole } from "./fields";

const waveShape = `${selectorShape}, or an object with \`select\`, and \`workersAtOnce\` or \`pauseSeconds\``;

/** A wave of workers: a selector alone, or with what differs in this wave. */
const waveSchema = z
  .union(
    [
      z.string(),
      z.strictObject({
        select: z.string().describe("A label selector: the workers of this wave that no earlier one means"),
        workersAtOnce: whole(1, 256, "workers")
          .optional()
          .describe("How many of them are done side by side; by default `nodes.workersAtOnce`"),
        pauseSeconds: whole(0, 86_400, "seconds")
          .optional()
          .describe("How long a run waits after this wave; by default `rollout.pauseSeconds`"),
      }),
    ],
    { error: waveShape },
  )
  .superRefine((wave, context) => {
    if (typeof wave === "string") checkSelector(wave, context);
    else checkSelector(wave.select, context, ["select"]);
  })
  .transform((wave) => (typeof wave === "string" ? { select: wave } : wave));

export const rolloutSchema = z
  .strictObject({
    canary: z
      .union(
        [
          flag(),
          z.strictObject({
            image: image("Give the image with its registry: host[:port]/repository[:tag][@digest]").describe(
              "The image that the first node pulls, of one of the registries; by default those of the Deployments",
            ),
          }),
        ],
        { error: "Give true, false, or the `image` that the first node is to pull" },
      )
      .default(true)
      .describe(
        "Whether a run with something to install does one worker first, and touches no other node before that one has pulled an image, by a short-lived pod; by default it does",
      ),
    waves: shaped((p) => z.array(waveSchema, p), "Give a list of label selectors")
      .default([])
      .describe(
        "The order of the workers: a list of label selectors, such as one for each node pool, each a text or an object. A wave begins when all of the one before are done; workers that none of them means come last. Control-plane nodes go first",
      ),
    pauseSeconds: whole(0, 86_400, "seconds")
      .default(0)
      .describe("How long a run waits after each wave in which it installed anything, in seconds"),
  })
  .prefault({})
  .describe("In which order nodes are done");
