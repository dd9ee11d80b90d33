// Command pulumi-resource-aws is the real Terraform AWS provider behind
// Pulumi's own bridge, for the sandbox if the released pulumi-aws can't be
// reached. It serves the types of ./types and no others, and is built by ./build
// from a copy of the provider narrowed to them.
//
// It knows the properties of provider 5.82. Those that pulumi-aws 6.83 has
// added are refused here, though AWS takes them: docs/fidelity.md has the list.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-provider-aws/xpprovider"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
)

// version is the release of pulumi-aws that this stands in for.
const version = "6.83.2"

// pulumiSchema is none: it is for programs in YAML and for warnings about
// values of a wrong type. The Go SDK needs neither, and the generator is a fifth of
// the code that the provider would be compiled from.
var pulumiSchema = []byte("{}")

func main() {
	ctx := context.Background()
	info, err := providerInfo(ctx)
	if err == nil {
		err = serve(ctx, pfbridge.MakeMuxedServer(ctx, "aws", info, pulumiSchema))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-aws:", err)
		os.Exit(1)
	}
}

// providerInfo joins both halves of the provider under Pulumi's tokens.
func providerInfo(ctx context.Context) (tfbridge.ProviderInfo, error) {
	framework, sdk, err := xpprovider.GetProvider(ctx)
	if err != nil {
		return tfbridge.ProviderInfo{}, err
	}
	if err := hurry(sdk); err != nil {
		return tfbridge.ProviderInfo{}, err
	}
	shim := pfbridge.MuxShimWithPF(ctx, shimv2.NewProvider(sdk), framework)
	info := tfbridge.ProviderInfo{
		P: shim, Name: "aws", Version: version,
		Resources:    resourceInfos(),
		DataSources:  dataSourceInfos(),
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	info.SetAutonaming(255, "-")
	// Which half serves which type, otherwise computed when a release is made.
	table, err := resolveDispatch(shim, &info)
	if err != nil {
		return info, err
	}
	return info, metadata.Set(info.GetMetadata(), "mux", table)
}

// resolveDispatch returns the table that the bridge's shim, an internal type, makes.
func resolveDispatch(shim any, info *tfbridge.ProviderInfo) (muxer.DispatchTable, error) {
	return shim.(interface {
		ResolveDispatch(*tfbridge.ProviderInfo) (muxer.DispatchTable, error)
	}).ResolveDispatch(info)
}
