// Package registry declares the ECR repository of the session images.
package registry

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// RegistryArgs are plain values, which decide the resources that there are.
type RegistryArgs struct {
	// Keep is the number of images that the repository holds, released ones among them; of
	// older ones, those that were never released expire within a day. 2 to 1000.
	Keep int
	// KeepReleased is the number of released images that the repository holds: those
	// with a tag of ReleasedTag. Amazon ECR does not know which are in use, so keep more
	// than anybody would ever go back to. 2 to 10000.
	KeepReleased int
	// PullAccounts are further AWS accounts, of 12 digits, that may pull: each still
	// decides which of its own roles do. As long as there are any, the repository is
	// protected and ForceDelete has no effect: their sessions start from its images.
	PullAccounts []string
	// ForceDelete lets a destroy take the images along.
	ForceDelete bool
	// Tags are put on the repository.
	Tags map[string]string
}

// Registry is the repository.
type Registry struct {
	pulumi.ResourceState

	Name       pulumi.StringOutput // the repository's name
	URL        pulumi.StringOutput // ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME
	ARN        pulumi.StringOutput
	RegistryID pulumi.StringOutput // the account
}

var account = regexp.MustCompile(`^\d{12}$`)

// Check adds the faults of the arguments. at returns the path of a property.
func (a RegistryArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Between(at("keep"), a.Keep, 2, 1000)
	f.Between(at("keepReleased"), a.KeepReleased, 2, 10000)
	f.Each(at("pullAccounts"), a.PullAccounts, account.MatchString, "AWS account ids of 12 digits in quotes")
}

func (a RegistryArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	return f.Err("registry")
}

// NewRegistry declares the repository.
//
// Its tags are mutable, against control ECR.2 and on purpose: nothing consumes
// a tag, sessions refer to the digest, and docker.Image pushes at every update,
// while ECR refuses a second push of an immutable tag even with the same digest.
func NewRegistry(ctx *pulumi.Context, name string, args *RegistryArgs, opts ...pulumi.ResourceOption) (*Registry, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	r := &Registry{}
	if err := ctx.RegisterComponentResource("dcv:registry:Registry", name, r, opts...); err != nil {
		return nil, err
	}
	child := pulumi.Parent(r)
	shared := len(args.PullAccounts) > 0
	held := []pulumi.ResourceOption{child}
	if shared {
		held = append(held, pulumi.Protect(true))
	}
	repository, err := ecr.NewRepository(ctx, name, &ecr.RepositoryArgs{
		ImageTagMutability:         pulumi.String("MUTABLE"),
		ImageScanningConfiguration: ecr.RepositoryImageScanningConfigurationArgs{ScanOnPush: pulumi.Bool(true)},
		EncryptionConfigurations: ecr.RepositoryEncryptionConfigurationArray{
			ecr.RepositoryEncryptionConfigurationArgs{EncryptionType: pulumi.String("AES256")},
		},
		ForceDelete: pulumi.Bool(args.ForceDelete && !shared),
		Tags:        pulumi.ToStringMap(args.Tags),
	}, held...)
	if err != nil {
		return nil, err
	}
	// The provider replaces a policy that changes, and deletes it by its repository:
	// one made before would go too.
	_, err = ecr.NewLifecyclePolicy(ctx, name, &ecr.LifecyclePolicyArgs{
		Repository: repository.Name,
		Policy:     pulumi.String(lifecycle(args.KeepReleased, args.Keep)),
	}, child, pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, err
	}
	if shared {
		partition, err := aws.GetPartition(ctx, &aws.GetPartitionArgs{}, child)
		if err != nil {
			return nil, err
		}
		_, err = ecr.NewRepositoryPolicy(ctx, name, &ecr.RepositoryPolicyArgs{
			Repository: repository.Name,
			Policy:     pulumi.String(pullPolicy(partition.Partition, args.PullAccounts)),
		}, child)
		if err != nil {
			return nil, err
		}
	}
	r.Name, r.URL, r.ARN, r.RegistryID = repository.Name, repository.RepositoryUrl, repository.Arn, repository.RegistryId
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"name": r.Name, "url": r.URL, "arn": r.ARN, "registryId": r.RegistryID})
}

// releasedPrefix begins the tags of released images.
const releasedPrefix = "released-"

// ReleasedTag returns the tag by which a repository keeps the image of a digest,
// sha256:…, as a released one. An image has one such tag, however often it is
// released.
func ReleasedTag(digest string) string {
	_, sum, _ := strings.Cut(digest, ":")
	return releasedPrefix + sum[:min(len(sum), 16)]
}

// lifecycle returns the policy that keeps the newest released images and, of the others, those that are
// among the newest of all. An image that a rule identifies by its tag is never
// expired by one of lower priority, which counts it all the same (Amazon ECR user
// guide, "How lifecycle policies work"). The rules stand in the order of their
// priority, in which ECR returns them.
func lifecycle(released, all int) string {
	type selection struct {
		TagStatus     string   `json:"tagStatus"`
		TagPrefixList []string `json:"tagPrefixList,omitempty"`
		CountType     string   `json:"countType"`
		CountNumber   int      `json:"countNumber"`
	}
	type rule struct {
		RulePriority int               `json:"rulePriority"`
		Description  string            `json:"description"`
		Selection    selection         `json:"selection"`
		Action       map[string]string `json:"action"`
	}
	const newest = "imageCountMoreThan"
	expire := map[string]string{"type": "expire"}
	b, err := json.Marshal(map[string][]rule{"rules": {
		{1, "keep the newest released images", selection{"tagged", []string{releasedPrefix}, newest, released}, expire},
		{2, "keep the newest images", selection{"any", nil, newest, all}, expire},
	}})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return string(b)
}

// pullPolicy returns the policy by which accounts may pull, and check that an image
// exists before they deploy it: the provider's look-up of an image reads the image and
// its repository.
func pullPolicy(partition string, accounts []string) string {
	var roots iampolicy.List
	for _, id := range accounts {
		roots = append(roots, "arn:"+partition+":iam::"+id+":root")
	}
	return iampolicy.JSON(iampolicy.Statement{
		Sid: "Pull", Effect: "Allow",
		Principal: &iampolicy.Principal{AWS: roots},
		Action: iampolicy.List{
			"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
			"ecr:DescribeImages", "ecr:DescribeRepositories",
		},
	})
}
