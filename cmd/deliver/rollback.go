package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/outputs"
)

// imageBefore is the image that new sessions ran before the present one: of the
// revisions of a user's job definition the newest with another. It is what was
// deployed; the registry knows only what was pushed. Revisions that are no longer
// active are described for 180 days (AWS Batch API, DeregisterJobDefinition).
func imageBefore(ctx context.Context, client batch.DescribeJobDefinitionsAPIClient, of outputs.Outputs) (string, error) {
	for _, user := range slices.Sorted(maps.Keys(of.JobDefinitions)) {
		revisions, err := revisions(ctx, client, of.JobDefinitions[user])
		if err != nil {
			return "", err
		}
		for _, r := range revisions {
			if image := aws.ToString(r.ContainerProperties.Image); image != of.ImageURI {
				return image, nil
			}
		}
	}
	return "", errors.New("no user's sessions ever ran another image: name one, make rollback TO=tag; " +
		"`aws ecr describe-images` lists those of " + of.RepositoryURL)
}

// revisions are a job definition's, newest first.
func revisions(ctx context.Context, client batch.DescribeJobDefinitionsAPIClient, name string) ([]types.JobDefinition, error) {
	var all []types.JobDefinition
	pages := batch.NewDescribeJobDefinitionsPaginator(client, &batch.DescribeJobDefinitionsInput{JobDefinitionName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.JobDefinitions {
			if r.ContainerProperties != nil {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b types.JobDefinition) int {
		return cmp.Compare(aws.ToInt32(b.Revision), aws.ToInt32(a.Revision))
	})
	return all, nil
}
