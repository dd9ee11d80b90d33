// Package recorded runs the program with an environment's configuration against
// componenttest's mock, and returns the resources that it declares. It needs no AWS
// account and makes no call to AWS.
package recorded

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/infra/config"
	"github.com/intraverse/dcv-sessions/infra/config/stackfile"
	"github.com/intraverse/dcv-sessions/infra/stack"
)

// Sandbox is the environment of the sandbox, which completes its file.
const Sandbox = "sandbox"

// SandboxAdds are the keys that the running sandbox adds to its stack's file
// (sandbox/local/config.go); here nothing answers at its endpoints but the AWS
// Batch of Begin.
var SandboxAdds = map[string]string{
	"aws:region":                     "us-east-1",
	"aws:accessKey":                  "sandbox",
	"aws:secretKey":                  "sandbox",
	"aws:skipCredentialsValidation":  "true",
	"aws:skipMetadataApiCheck":       "true",
	"aws:s3UsePathStyle":             "true",
	"aws:allowedAccountIds":          `["123456789012"]`,
	"aws:ec2MetadataServiceEndpoint": "http://127.0.0.1:1",
	"aws:endpoints":                  Endpoints("http://127.0.0.1:1"),
	"dcv-sessions:network.vpcId":     "vpc-1",
	"dcv-sessions:network.subnetIds": `["subnet-1","subnet-2"]`,
	"dcv-sessions:image.base":        "dcv-sessions/base",
}

// Endpoints returns the sandbox's endpoints, with AWS Batch at a URL.
func Endpoints(batch string) string {
	return fmt.Sprintf(`[{"batch":%q,"secretsmanager":"http://127.0.0.1:1","sts":"http://127.0.0.1:1"}]`, batch)
}

// Environments returns the names of all environments: of Pulumi.NAME.yaml.
func Environments() ([]string, error) {
	root, err := stackfile.Root()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, "Pulumi.*.yaml")) // sorted
	var names []string
	for _, file := range files {
		name := strings.TrimPrefix(filepath.Base(file), "Pulumi.")
		names = append(names, strings.TrimSuffix(name, ".yaml"))
	}
	return names, err
}

// Configuration returns an environment's configuration as the engine hands it to
// the program.
func Configuration(name string) (map[string]string, error) {
	all, err := stackfile.Complete(name)
	if err == nil && name == Sandbox {
		maps.Copy(all, SandboxAdds)
	}
	return all, err
}

// Graph is the resources of an environment.
type Graph struct {
	Name      string
	Set       map[string]string // its configuration, by "namespace:key"
	Config    *config.Config    // the same, parsed
	Resources []componenttest.Resource
}

// Record returns the resources that the program declares for an environment with a
// configuration. The values that AWS computes are the mock's.
func Record(name string, configuration map[string]string) (*Graph, error) {
	g := &Graph{Name: name, Set: configuration}
	run := componenttest.Record(componenttest.Update, func(ctx *pulumi.Context) (err error) {
		if g.Config, err = config.Load(ctx); err != nil {
			return err
		}
		return stack.Deploy(ctx)
	}, componenttest.WithStack(name), componenttest.WithConfig(configuration))
	g.Resources = run.Resources
	return g, run.Err
}

// untaggable are the program's AWS types that take no tags.
var untaggable = []string{
	"aws:cloudwatch/dashboard:Dashboard",
	"aws:cloudwatch/eventApiDestination:EventApiDestination",
	"aws:cloudwatch/eventConnection:EventConnection",
	"aws:cloudwatch/eventTarget:EventTarget",
	"aws:cloudwatch/logMetricFilter:LogMetricFilter",
	"aws:ecr/lifecyclePolicy:LifecyclePolicy",
	"aws:ecr/repositoryPolicy:RepositoryPolicy",
	"aws:iam/rolePolicy:RolePolicy",
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment",
	"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",
	"aws:s3/bucketNotification:BucketNotification",
	"aws:s3/bucketOwnershipControls:BucketOwnershipControls",
	"aws:s3/bucketPolicy:BucketPolicy",
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
	"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
	"aws:s3/bucketVersioningV2:BucketVersioningV2",
	"aws:secretsmanager/secretVersion:SecretVersion",
	"aws:sns/topicPolicy:TopicPolicy",
	"aws:sns/topicSubscription:TopicSubscription",
	"aws:sqs/queuePolicy:QueuePolicy",
}

// Untaggable returns the AWS types of the program that take no tags.
func Untaggable() []string { return slices.Clone(untaggable) }

// Taggable reports whether resources of a type take tags.
func Taggable(token string) bool { return !slices.Contains(untaggable, token) }

// Begin changes to the program's working directory under Pulumi, infra/, to which the
// session image's folders are relative, and hides the machine's own AWS configuration.
// The program's calls to AWS are answered by an AWS Batch without jobs, and by nothing
// else. The function that it returns ends that AWS Batch.
func Begin() (end func(), err error) {
	root, err := stackfile.Root()
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(filepath.Join(root, "infra")); err != nil {
		return nil, err
	}
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			err = errors.Join(err, os.Unsetenv(name))
		}
	}
	noJobs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	SandboxAdds["aws:endpoints"] = Endpoints(noJobs.URL)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL_BATCH": noJobs.URL,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
	} {
		err = errors.Join(err, os.Setenv(name, value))
	}
	return noJobs.Close, err
}
