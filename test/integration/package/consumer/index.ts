/** A program of somebody else's, who has only what was packed. The tests compile it in an empty project. */
import * as pulumi from "@pulumi/pulumi";
import * as tkc from "tkc-registry";

const identity = new tkc.Identity("tkc-cluster-1", async (id: string) => {
  await pulumi.log.info(id);
});
const pull = new tkc.PullSecret("pull", {
  name: "pull",
  places: [
    { namespace: "web", dockerConfigJson: new pulumi.Config().requireSecret("auths"), adopted: false },
  ],
  defaultServiceAccount: false,
  deleteAdopted: false,
  clusterContext: "tkc-cluster-1",
  cluster: undefined,
  owner: "program.stack",
  id: identity.id,
});
export const secretName: pulumi.Output<string> = pull.secretName;
