// Command pulumi-resource-aws is the real Terraform AWS provider behind
// Pulumi's own bridge, for the sandbox where the released pulumi-aws can't be
// reached. It serves the types of table.go and no others, and is built by
// ./build from a copy of the provider narrowed to the services in use.
//
// It knows the properties of provider 5.82. What pulumi-aws 6.83 added since is
// refused here, though AWS takes it: docs/fidelity.md has the list.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-provider-aws/xpprovider"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
)

// version is the release of pulumi-aws that this stands in for.
const version = "6.83.2"

func main() {
	ctx := context.Background()
	info, err := providerInfo(ctx)
	if err == nil {
		var schema []byte
		if schema, err = generateSchema(info); err == nil {
			pfbridge.MainWithMuxer(ctx, "aws", info, schema)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "pulumi-resource-aws:", err)
	os.Exit(1)
}

// providerInfo joins both halves of the provider, pruned, under Pulumi's tokens.
func providerInfo(ctx context.Context) (tfbridge.ProviderInfo, error) {
	framework, sdk, err := xpprovider.GetProvider(ctx)
	if err != nil {
		return tfbridge.ProviderInfo{}, err
	}
	pruneSDK(sdk)
	if err := hurry(sdk); err != nil {
		return tfbridge.ProviderInfo{}, err
	}
	shim := pfbridge.MuxShimWithPF(ctx, shimv2.NewProvider(sdk), pruned{framework})
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

// resolveDispatch asks the bridge, whose type for this is internal.
func resolveDispatch(shim any, info *tfbridge.ProviderInfo) (muxer.DispatchTable, error) {
	return shim.(interface {
		ResolveDispatch(*tfbridge.ProviderInfo) (muxer.DispatchTable, error)
	}).ResolveDispatch(info)
}

// generateSchema makes Pulumi's schema of what is left, without the docs.
func generateSchema(info tfbridge.ProviderInfo) ([]byte, error) {
	var said bytes.Buffer
	sink := diag.DefaultSink(&said, &said, diag.FormatOptions{Color: colors.Never})
	result, err := tfgen.GenerateSchemaWithOptions(tfgen.GenerateSchemaOptions{ProviderInfo: info, DiagnosticsSink: sink, XInMemoryDocs: true})
	if err != nil {
		return nil, fmt.Errorf("schema: %w\n%s", err, said.String())
	}
	return json.Marshal(result.PackageSpec)
}
