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

// imageBefore returns the image that was deployed before the present one: that of the
// newest revision of a user's job definition with another image. The registry would
// know only the pushed ones. AWS Batch describes revisions for 180 days after they were
// deregistered (AWS Batch API reference, DeregisterJobDefinition).
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
	return "", errors.New("no job definition had another image before: name one, make rollback TO=tag; " +
		"`aws ecr describe-images` lists those of " + of.RepositoryURL)
}

// revisions returns a job definition's revisions, the newest first.
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
