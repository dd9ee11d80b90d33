package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/intraverse/dcv-sessions/components/registry"
	"github.com/intraverse/dcv-sessions/outputs"
)

// images is the part of Amazon ECR's client that gives an image a further tag.
type images interface {
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
	PutImage(context.Context, *ecr.PutImageInput, ...func(*ecr.Options)) (*ecr.PutImageOutput, error)
}

// keep makes the stack's repository keep the deployed image. An image of another
// repository was tagged when the stack that built it was deployed.
func (o options) keep(ctx context.Context, _ string) error {
	of, err := outputs.ReadStack(ctx, o.stack, os.Stderr)
	if err != nil {
		return err
	}
	repository, digest, _ := strings.Cut(of.ImageURI, "@")
	if repository != of.RepositoryURL {
		fmt.Printf("stack %s: the image is in another repository, which has to keep it: %s\n", o.stack, of.ImageURI)
		return nil
	}
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(of.Region))
	if err != nil {
		return err
	}
	tag, err := tagReleased(ctx, ecr.NewFromConfig(aws), of, digest)
	if err != nil {
		return err
	}
	fmt.Printf("stack %s: the repository keeps the image, as %s\n", o.stack, tag)
	return nil
}

// tagReleased gives an image the tag by which the stack's repository keeps it. It copies
// no layer (Amazon ECR user guide, "Retagging an image"), and changes nothing if the
// image has the tag.
func tagReleased(ctx context.Context, client images, of outputs.Outputs, digest string) (tag string, err error) {
	_, name, _ := strings.Cut(of.RepositoryURL, "/")
	found, err := client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &name, ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}}})
	if err != nil {
		return "", err
	}
	if len(found.Images) != 1 {
		return "", fmt.Errorf("the image %s@%s is gone, and sessions on new hosts will not start: deploy another, make rollback TO=tag", of.RepositoryURL, digest)
	}
	tag = registry.ReleasedTag(digest)
	_, err = client.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: &name, ImageDigest: &digest, ImageTag: &tag,
		ImageManifest: found.Images[0].ImageManifest, ImageManifestMediaType: found.Images[0].ImageManifestMediaType,
	})
	var tagged *types.ImageAlreadyExistsException
	if errors.As(err, &tagged) {
		err = nil
	}
	return tag, err
}
