// What `pulumi` starts: index.ts as `npm run build` compiled it. To have it compiled at every start, as Pulumi does by
// default, costs a second and 50 MB each time.
const { existsSync } = require("node:fs");
const { join } = require("node:path");

const program = join(__dirname, "dist", "index.js");
if (!existsSync(program)) {
  const { RunError } = require("@pulumi/pulumi");
  throw new RunError(
    "dist/: the compiled program is missing. Run `npm ci`, or `npm run build`, then try again [stale-build]",
  );
}
module.exports = require(program);
