// As many resources as a stack of ours has, none of which does anything: what remains is what the engine costs.
//   FLOOR_COMMANDS    how many commands
//   FLOOR_COMPONENTS  how many components, among which the commands are divided
/* global process, require */
const command = require("@pulumi/command");
const pulumi = require("@pulumi/pulumi");

const commands = Number(process.env.FLOOR_COMMANDS);
const components = Number(process.env.FLOOR_COMPONENTS);

for (let index = 0; index < components; index++) {
  const component = new pulumi.ComponentResource("engine-floor:index:Component", `component-${index}`);
  for (let each = index; each < commands; each += components)
    new command.local.Command(`command-${each}`, { create: "true" }, { parent: component });
}
