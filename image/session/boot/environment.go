package boot

import (
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
)

// Given is the environment of a job's process.
type Given struct {
	environment []string // NAME=value, the second run's environment
	// Secrets are NAME=value, which it has in memory only.
	Secrets []string `json:"secrets"`
	// Dropped are the names of the variables that a session has no use for, in
	// ascending order, without those that are always there.
	Dropped []string `json:"dropped"`
}

// keptVariables are the variables that a session uses. A name that ends in "*" stands for all
// that begin so.
var keptVariables = []string{
	"DCV_*", contract.EnvRegion, contract.EnvBatchEndpoint, contract.EnvTopicsEndpoint, // the job definition's and the image's
	contract.EnvSubmitted, // the launcher's
	"AWS_BATCH_JOB_ID",    // AWS Batch user guide, "AWS Batch job environment variables"
	// The ECS agent's, and the SDKs' own variables instead of the last two if the
	// agent is not on EC2 (SDKs and Tools reference guide).
	"ECS_CONTAINER_METADATA_URI_V4", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	"NVIDIA_VISIBLE_DEVICES", // the GPUs of this job
}

// ignoredVariables are variables that every job has and no session uses: not worth a word.
var ignoredVariables = []string{
	"PATH", "HOME", "HOSTNAME", "TERM", "NVIDIA_DRIVER_CAPABILITIES", // the image's and Docker's
	"AWS_BATCH_*", "AWS_EXECUTION_ENV", "AWS_DEFAULT_REGION", "ECS_*", // AWS Batch's and the ECS agent's
}

// Choose sorts the variables of a job.
func Choose(environ []string) Given {
	var g Given
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		switch {
		case slices.Contains(contract.SecretVariables, name):
			g.Secrets = append(g.Secrets, pair)
		case matchesAny(keptVariables, name):
			g.environment = append(g.environment, pair)
		case !matchesAny(ignoredVariables, name):
			g.Dropped = append(g.Dropped, name)
		}
	}
	slices.Sort(g.environment)
	slices.Sort(g.Secrets)
	slices.Sort(g.Dropped)
	return g
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}
