// Package registry is the ECR repository of the session images.
package registry

import (
	"encoding/json"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/faults"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

// RegistryArgs are plain values: they decide which resources there are.
type RegistryArgs struct {
	// Keep is how many images the repository holds; older ones expire within a
	// day. ECR knows no "in use", so keep well more than you would go back to.
	// 2 to 1000.
	Keep int
	// PullAccounts are further AWS accounts, of 12 digits, that may pull: each still
	// decides which of its own roles do.
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

func (a RegistryArgs) validate() error {
	var f faults.Faults
	f.Between("keep", a.Keep, 2, 1000)
	for i, id := range a.PullAccounts {
		f.Check(account.MatchString(id), "pullAccounts", id, "an AWS account id of 12 digits")
		f.Check(!slices.Contains(a.PullAccounts[:i], id), "pullAccounts", id, "each account once")
	}
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
	repository, err := ecr.NewRepository(ctx, name, &ecr.RepositoryArgs{
		ImageTagMutability:         pulumi.String("MUTABLE"),
		ImageScanningConfiguration: ecr.RepositoryImageScanningConfigurationArgs{ScanOnPush: pulumi.Bool(true)},
		EncryptionConfigurations: ecr.RepositoryEncryptionConfigurationArray{
			ecr.RepositoryEncryptionConfigurationArgs{EncryptionType: pulumi.String("AES256")},
		},
		ForceDelete: pulumi.Bool(args.ForceDelete),
		Tags:        pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, err
	}
	_, err = ecr.NewLifecyclePolicy(ctx, name, &ecr.LifecyclePolicyArgs{
		Repository: repository.Name,
		Policy:     pulumi.String(lifecycle(args.Keep)),
	}, child)
	if err != nil {
		return nil, err
	}
	if len(args.PullAccounts) > 0 {
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

// lifecycle keeps the newest images, whatever their tags.
func lifecycle(keep int) string {
	type selection struct {
		TagStatus   string `json:"tagStatus"`
		CountType   string `json:"countType"`
		CountNumber int    `json:"countNumber"`
	}
	type rule struct {
		RulePriority int               `json:"rulePriority"`
		Description  string            `json:"description"`
		Selection    selection         `json:"selection"`
		Action       map[string]string `json:"action"`
	}
	b, err := json.Marshal(map[string][]rule{"rules": {{
		RulePriority: 1, Description: "keep the newest images",
		Selection: selection{"any", "imageCountMoreThan", keep},
		Action:    map[string]string{"type": "expire"},
	}}})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return string(b)
}

// pullPolicy lets accounts pull, and look whether an image is there before they
// deploy it: the provider's look-up of an image reads the image and its
// repository.
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
