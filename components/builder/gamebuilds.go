// Package builder declares the parts of an image build on AWS: the bucket of game builds
// and the dedicated instance that makes images of them.
package builder

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

// GameBuildsArgs are the arguments of NewGameBuilds.
type GameBuildsArgs struct {
	// ForceDestroy lets a destroy delete the builds; otherwise it fails while there are
	// any.
	ForceDestroy bool
	// Tags are put on the bucket.
	Tags map[string]string
}

// GameBuilds is the versioned, encrypted bucket of game builds. A build is identified by
// its object's version, which never changes.
type GameBuilds struct {
	pulumi.ResourceState

	Bucket    pulumi.StringOutput // its name
	BucketARN pulumi.StringOutput
}

// Replaced builds are kept for a rollback. Parts of incomplete uploads only cost money.
const (
	keepReplacedDays = 90
	keepPartsDays    = 7
)

// NewGameBuilds declares the bucket.
func NewGameBuilds(ctx *pulumi.Context, name string, args *GameBuildsArgs, opts ...pulumi.ResourceOption) (*GameBuilds, error) {
	g := &GameBuilds{}
	if err := ctx.RegisterComponentResource("dcv:builder:GameBuilds", name, g, opts...); err != nil {
		return nil, err
	}
	child := pulumi.Parent(g)
	bucket, err := s3.NewBucketV2(ctx, name, &s3.BucketV2Args{
		ForceDestroy: pulumi.Bool(args.ForceDestroy),
		Tags:         pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, err
	}
	for _, declare := range []func(*pulumi.Context, string, *s3.BucketV2, pulumi.ResourceOption) error{
		blockPublic, ownObjects, encrypt, refusePlaintext, keepVersions, sendEvents,
	} {
		if err := declare(ctx, name, bucket, child); err != nil {
			return nil, err
		}
	}
	g.Bucket, g.BucketARN = bucket.Bucket, bucket.Arn
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{"bucket": g.Bucket, "bucketArn": g.BucketARN})
}

func blockPublic(ctx *pulumi.Context, name string, bucket *s3.BucketV2, child pulumi.ResourceOption) error {
	_, err := s3.NewBucketPublicAccessBlock(ctx, name, &s3.BucketPublicAccessBlockArgs{
		Bucket:          bucket.Bucket,
		BlockPublicAcls: pulumi.Bool(true), BlockPublicPolicy: pulumi.Bool(true),
		IgnorePublicAcls: pulumi.Bool(true), RestrictPublicBuckets: pulumi.Bool(true),
	}, child)
	return err
}

// ownObjects switches ACLs off: a build that another account uploads is ours.
func ownObjects(ctx *pulumi.Context, name string, bucket *s3.BucketV2, child pulumi.ResourceOption) error {
	_, err := s3.NewBucketOwnershipControls(ctx, name, &s3.BucketOwnershipControlsArgs{
		Bucket: bucket.Bucket,
		Rule:   s3.BucketOwnershipControlsRuleArgs{ObjectOwnership: pulumi.String("BucketOwnerEnforced")},
	}, child)
	return err
}

func encrypt(ctx *pulumi.Context, name string, bucket *s3.BucketV2, child pulumi.ResourceOption) error {
	_, err := s3.NewBucketServerSideEncryptionConfigurationV2(ctx, name, &s3.BucketServerSideEncryptionConfigurationV2Args{
		Bucket: bucket.Bucket,
		Rules: s3.BucketServerSideEncryptionConfigurationV2RuleArray{s3.BucketServerSideEncryptionConfigurationV2RuleArgs{
			ApplyServerSideEncryptionByDefault: s3.BucketServerSideEncryptionConfigurationV2RuleApplyServerSideEncryptionByDefaultArgs{
				SseAlgorithm: pulumi.String("AES256"),
			},
		}},
	}, child)
	return err
}

func refusePlaintext(ctx *pulumi.Context, name string, bucket *s3.BucketV2, child pulumi.ResourceOption) error {
	_, err := s3.NewBucketPolicy(ctx, name, &s3.BucketPolicyArgs{
		Bucket: bucket.Bucket,
		Policy: bucket.Arn.ApplyT(func(arn string) string {
			return iampolicy.JSON(iampolicy.TLSOnly(iampolicy.List{"s3:*"}, iampolicy.List{arn, arn + "/*"}))
		}).(pulumi.StringOutput),
	}, child)
	return err
}

// keepVersions expires each version of a build some time after it was replaced. The
// newest version never expires.
func keepVersions(ctx *pulumi.Context, name string, bucket *s3.BucketV2, child pulumi.ResourceOption) error {
	versioning, err := s3.NewBucketVersioningV2(ctx, name, &s3.BucketVersioningV2Args{
		Bucket:                  bucket.Bucket,
		VersioningConfiguration: s3.BucketVersioningV2VersioningConfigurationArgs{Status: pulumi.String("Enabled")},
	}, child)
	if err != nil {
		return err
	}
	_, err = s3.NewBucketLifecycleConfigurationV2(ctx, name, &s3.BucketLifecycleConfigurationV2Args{
		Bucket: bucket.Bucket,
		Rules: s3.BucketLifecycleConfigurationV2RuleArray{s3.BucketLifecycleConfigurationV2RuleArgs{
			Id:     pulumi.String("replaced-builds"),
			Status: pulumi.String("Enabled"),
			Filter: s3.BucketLifecycleConfigurationV2RuleFilterArgs{Prefix: pulumi.String("")},
			NoncurrentVersionExpiration: s3.BucketLifecycleConfigurationV2RuleNoncurrentVersionExpirationArgs{
				NoncurrentDays: pulumi.Int(keepReplacedDays),
			},
			AbortIncompleteMultipartUpload: s3.BucketLifecycleConfigurationV2RuleAbortIncompleteMultipartUploadArgs{
				DaysAfterInitiation: pulumi.Int(keepPartsDays),
			},
		}},
	}, child, pulumi.DependsOn([]pulumi.Resource{versioning})) // rules on versions want versions
	return err
}

// sendEvents sends the bucket's events to EventBridge. A bucket has one notification
// configuration, so it is declared here; receivers have EventBridge rules.
func sendEvents(ctx *pulumi.Context, name string, bucket *s3.BucketV2, child pulumi.ResourceOption) error {
	_, err := s3.NewBucketNotification(ctx, name, &s3.BucketNotificationArgs{
		Bucket:      bucket.Bucket,
		Eventbridge: pulumi.Bool(true),
	}, child)
	return err
}
