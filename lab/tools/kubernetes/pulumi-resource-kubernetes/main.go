// The official Kubernetes provider of Pulumi, which is released as a program and not as a Go package. Its schema stays out:
// only code generators and YAML programs ask for it.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

// Set by the linker.
var version string

func main() {
	provider.Serve("kubernetes", version, []byte("{}"), []byte("{}"))
}
