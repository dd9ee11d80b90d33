package main

import (
	"strings"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"

	"github.com/intraverse/dcv-sessions/sandbox/awsprovider/types"
)

// fields are the properties that pulumi-aws names otherwise than the bridge would.
var fields = map[string]map[string]*tfbridge.SchemaInfo{
	"aws_batch_compute_environment": {"compute_environment_name": tfbridge.AutoName("computeEnvironmentName", 255, "-")},
	"aws_cloudwatch_metric_alarm":   {"alarm_name": tfbridge.AutoName("name", 255, "-")},
	"aws_s3_bucket":                 {"bucket": lowerCaseName("bucket", 63)},
	"aws_security_group":            {"ingress": {Name: "ingress"}, "egress": {Name: "egress"}},
	"aws_sns_topic_subscription":    {"topic_arn": {Name: "topic"}},
}

func resourceInfos() map[string]*tfbridge.ResourceInfo {
	infos := map[string]*tfbridge.ResourceInfo{}
	for name, t := range types.Resources {
		infos[name] = &tfbridge.ResourceInfo{Tok: tokens.Type(t.Token()), Fields: fields[name]}
	}
	return infos
}

func dataSourceInfos() map[string]*tfbridge.DataSourceInfo {
	infos := map[string]*tfbridge.DataSourceInfo{}
	for name, t := range types.DataSources {
		infos[name] = &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember(t.Token())}
	}
	return infos
}

// lowerCaseName auto-names in lower case, as bucket names have to be.
func lowerCaseName(name string, longest int) *tfbridge.SchemaInfo {
	return tfbridge.AutoNameTransform(name, longest, strings.ToLower)
}
