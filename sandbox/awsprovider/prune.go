package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

// pruneSDK drops what table.go does not name from the provider's older half.
func pruneSDK(p *schema.Provider) {
	for name := range p.ResourcesMap {
		if _, ok := resources[name]; !ok {
			delete(p.ResourcesMap, name)
		}
	}
	for name := range p.DataSourcesMap {
		if _, ok := dataSources[name]; !ok {
			delete(p.DataSourcesMap, name)
		}
	}
}

// pruned is the provider's newer half without what table.go does not name.
type pruned struct{ provider.Provider }

func (p pruned) Resources(ctx context.Context) []func() resource.Resource {
	var kept []func() resource.Resource
	for _, make := range p.Provider.Resources(ctx) {
		var named resource.MetadataResponse
		make().Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "aws"}, &named)
		if _, ok := resources[named.TypeName]; ok {
			kept = append(kept, make)
		}
	}
	return kept
}

func (p pruned) DataSources(ctx context.Context) []func() datasource.DataSource {
	var kept []func() datasource.DataSource
	for _, make := range p.Provider.DataSources(ctx) {
		var named datasource.MetadataResponse
		make().Metadata(ctx, datasource.MetadataRequest{ProviderTypeName: "aws"}, &named)
		if _, ok := dataSources[named.TypeName]; ok {
			kept = append(kept, make)
		}
	}
	return kept
}
