// Command pulumi-resource-docker stands in for the Pulumi docker provider where
// the released one can't be installed. It knows docker.Image only and does its
// work by the docker command, on a real Docker.
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// version is the release of the provider whose behaviour this follows.
const version = "4.10.0"

func main() {
	err := provider.Main("docker", func(host *provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
		return newServer(host), nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-docker:", err)
		os.Exit(1)
	}
}
