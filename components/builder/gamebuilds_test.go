package builder_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/componenttest"
)

const (
	bucket       = "aws:s3/bucketV2:BucketV2"
	policy       = "aws:s3/bucketPolicy:BucketPolicy"
	publicAccess = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
	ownership    = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
	encryption   = "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2"
	versioning   = "aws:s3/bucketVersioningV2:BucketVersioningV2"
	notification = "aws:s3/bucketNotification:BucketNotification"
	lifecycle    = "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2"
)

func runBucket(t *testing.T, mode componenttest.Mode, args builder.GameBuildsArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := builder.NewGameBuilds(ctx, "builds", &args)
		return err
	})
}

func TestGameBuildsArePrivateEncryptedAndVersioned(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := runBucket(t, mode, builder.GameBuildsArgs{Tags: map[string]string{"team": "games"}}).Must(t)
		want := map[string]map[string]any{
			bucket:       {"forceDestroy": false, "tags": tagged()},
			publicAccess: {"blockPublicAcls": true, "blockPublicPolicy": true, "ignorePublicAcls": true, "restrictPublicBuckets": true},
			ownership:    {"rule": map[string]any{"objectOwnership": "BucketOwnerEnforced"}},
			encryption: {"rules": []any{map[string]any{
				"applyServerSideEncryptionByDefault": map[string]any{"sseAlgorithm": "AES256"},
			}}},
			notification: {"eventbridge": true},
			versioning:   {"versioningConfiguration": map[string]any{"status": "Enabled"}},
			lifecycle: {"rules": []any{map[string]any{
				"id":                             "replaced-builds",
				"status":                         "Enabled",
				"filter":                         map[string]any{"prefix": ""},
				"noncurrentVersionExpiration":    map[string]any{"noncurrentDays": 90.},
				"abortIncompleteMultipartUpload": map[string]any{"daysAfterInitiation": 7.},
			}}},
		}
		assert.Len(t, r.Resources, len(want)+2, "these, the policy and the component: %v", r.Names())
		for token, inputs := range want {
			made := r.One(t, token)
			assert.Equal(t, "builds", made.Parent, token)
			if token != bucket {
				inputs["bucket"] = computed(mode, "builds-0a1b2c3")
			}
			assert.Equal(t, known(inputs), known(made.Inputs), token)
		}
		assert.Equal(t, "builds", r.One(t, policy).Parent)
		assert.Equal(t, []string{"builds", "builds"}, r.One(t, lifecycle).DependsOn, "the bucket and its versioning")
	})
}

func TestTheBucketTakesTLSOnly(t *testing.T) {
	r := runBucket(t, componenttest.Update, builder.GameBuildsArgs{}).Must(t)
	made := r.One(t, policy)
	assert.Equal(t, "builds-0a1b2c3", made.Inputs["bucket"])
	assert.Equal(t, `{"Version":"2012-10-17","Statement":[{"Sid":"TLSOnly","Effect":"Deny","Principal":"*","Action":"s3:*",`+
		`"Resource":["arn:aws:s3:::builds-0a1b2c3","arn:aws:s3:::builds-0a1b2c3/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`,
		made.Inputs["policy"])
}

func TestADestroyTakesBuildsAlongOnlyWhereAsked(t *testing.T) {
	for _, asked := range []bool{true, false} {
		r := runBucket(t, componenttest.Update, builder.GameBuildsArgs{ForceDestroy: asked}).Must(t)
		assert.Equal(t, asked, r.One(t, bucket).Inputs["forceDestroy"])
	}
}

func TestTheBucketsOutputsAreS3s(t *testing.T) {
	given := make(chan []any, 1)
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		made, err := builder.NewGameBuilds(ctx, "builds", &builder.GameBuildsArgs{})
		if err != nil {
			return err
		}
		pulumi.All(made.Bucket, made.BucketARN).ApplyT(func(all []any) error { given <- all; return nil })
		return nil
	}).Must(t)
	assert.Equal(t, []any{"builds-0a1b2c3", "arn:aws:s3:::builds-0a1b2c3"}, <-given)
}
