package main

import (
	"strings"
	"unicode"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// entry is one type: its token's module and name, as pulumi-aws has them, and
// the properties that pulumi-aws names otherwise than the bridge would.
type entry struct {
	module, name string
	fields       map[string]*tfbridge.SchemaInfo
}

// resources are the types that the program uses or is about to use.
var resources = map[string]entry{
	"aws_batch_compute_environment": {"batch", "ComputeEnvironment", map[string]*tfbridge.SchemaInfo{
		"compute_environment_name": tfbridge.AutoName("computeEnvironmentName", 255, "-")}},
	"aws_batch_job_definition":                           {"batch", "JobDefinition", nil},
	"aws_batch_job_queue":                                {"batch", "JobQueue", nil},
	"aws_batch_scheduling_policy":                        {"batch", "SchedulingPolicy", nil},
	"aws_budgets_budget":                                 {"budgets", "Budget", nil},
	"aws_cloudwatch_dashboard":                           {"cloudwatch", "Dashboard", nil},
	"aws_cloudwatch_event_api_destination":               {"cloudwatch", "EventApiDestination", nil},
	"aws_cloudwatch_event_connection":                    {"cloudwatch", "EventConnection", nil},
	"aws_cloudwatch_event_rule":                          {"cloudwatch", "EventRule", nil},
	"aws_cloudwatch_event_target":                        {"cloudwatch", "EventTarget", nil},
	"aws_cloudwatch_log_group":                           {"cloudwatch", "LogGroup", nil},
	"aws_cloudwatch_log_metric_filter":                   {"cloudwatch", "LogMetricFilter", nil},
	"aws_cloudwatch_log_resource_policy":                 {"cloudwatch", "LogResourcePolicy", nil},
	"aws_cloudwatch_metric_alarm":                        {"cloudwatch", "MetricAlarm", map[string]*tfbridge.SchemaInfo{"alarm_name": tfbridge.AutoName("name", 255, "-")}},
	"aws_ec2_instance_state":                             {"ec2transitgateway", "InstanceState", nil},
	"aws_ecr_lifecycle_policy":                           {"ecr", "LifecyclePolicy", nil},
	"aws_ecr_repository":                                 {"ecr", "Repository", nil},
	"aws_ecr_repository_policy":                          {"ecr", "RepositoryPolicy", nil},
	"aws_iam_instance_profile":                           {"iam", "InstanceProfile", nil},
	"aws_iam_openid_connect_provider":                    {"iam", "OpenIdConnectProvider", nil},
	"aws_iam_policy":                                     {"iam", "Policy", nil},
	"aws_iam_role":                                       {"iam", "Role", nil},
	"aws_iam_role_policy":                                {"iam", "RolePolicy", nil},
	"aws_iam_role_policy_attachment":                     {"iam", "RolePolicyAttachment", nil},
	"aws_iam_service_linked_role":                        {"iam", "ServiceLinkedRole", nil},
	"aws_instance":                                       {"ec2", "Instance", nil},
	"aws_kms_alias":                                      {"kms", "Alias", nil},
	"aws_kms_key":                                        {"kms", "Key", nil},
	"aws_launch_template":                                {"ec2", "LaunchTemplate", nil},
	"aws_s3_bucket":                                      {"s3", "BucketV2", map[string]*tfbridge.SchemaInfo{"bucket": lowerCaseName("bucket", 63)}},
	"aws_s3_bucket_lifecycle_configuration":              {"s3", "BucketLifecycleConfigurationV2", nil},
	"aws_s3_bucket_notification":                         {"s3", "BucketNotification", nil},
	"aws_s3_bucket_ownership_controls":                   {"s3", "BucketOwnershipControls", nil},
	"aws_s3_bucket_policy":                               {"s3", "BucketPolicy", nil},
	"aws_s3_bucket_public_access_block":                  {"s3", "BucketPublicAccessBlock", nil},
	"aws_s3_bucket_server_side_encryption_configuration": {"s3", "BucketServerSideEncryptionConfigurationV2", nil},
	"aws_s3_bucket_versioning":                           {"s3", "BucketVersioningV2", nil},
	"aws_secretsmanager_secret":                          {"secretsmanager", "Secret", nil},
	"aws_secretsmanager_secret_policy":                   {"secretsmanager", "SecretPolicy", nil},
	"aws_secretsmanager_secret_version":                  {"secretsmanager", "SecretVersion", nil},
	"aws_security_group": {"ec2", "SecurityGroup", map[string]*tfbridge.SchemaInfo{
		"ingress": {Name: "ingress"}, "egress": {Name: "egress"}}},
	"aws_sns_topic":                       {"sns", "Topic", nil},
	"aws_sns_topic_policy":                {"sns", "TopicPolicy", nil},
	"aws_sns_topic_subscription":          {"sns", "TopicSubscription", map[string]*tfbridge.SchemaInfo{"topic_arn": {Name: "topic"}}},
	"aws_sqs_queue":                       {"sqs", "Queue", nil},
	"aws_sqs_queue_policy":                {"sqs", "QueuePolicy", nil},
	"aws_ssm_document":                    {"ssm", "Document", nil},
	"aws_ssm_parameter":                   {"ssm", "Parameter", nil},
	"aws_vpc_security_group_egress_rule":  {"vpc", "SecurityGroupEgressRule", nil},
	"aws_vpc_security_group_ingress_rule": {"vpc", "SecurityGroupIngressRule", nil},
}

// dataSources are the functions that the program calls.
var dataSources = map[string]entry{
	"aws_caller_identity":             {"index", "getCallerIdentity", nil},
	"aws_ecr_authorization_token":     {"ecr", "getAuthorizationToken", nil},
	"aws_ecr_image":                   {"ecr", "getImage", nil},
	"aws_ecr_repository":              {"ecr", "getRepository", nil},
	"aws_iam_openid_connect_provider": {"iam", "getOpenIdConnectProvider", nil},
	"aws_partition":                   {"index", "getPartition", nil},
	"aws_region":                      {"index", "getRegion", nil},
	"aws_s3_object":                   {"s3", "getObject", nil},
	"aws_secretsmanager_secret":       {"secretsmanager", "getSecret", nil},
	"aws_ssm_parameter":               {"ssm", "getParameter", nil},
	"aws_subnet":                      {"ec2", "getSubnet", nil},
	"aws_vpc":                         {"ec2", "getVpc", nil},
}

// token is "aws:batch/jobQueue:JobQueue".
func (e entry) token() string {
	runes := []rune(e.name)
	runes[0] = unicode.ToLower(runes[0])
	return "aws:" + e.module + "/" + string(runes) + ":" + e.name
}

func resourceInfos() map[string]*tfbridge.ResourceInfo {
	infos := map[string]*tfbridge.ResourceInfo{}
	for name, e := range resources {
		infos[name] = &tfbridge.ResourceInfo{Tok: tokens.Type(e.token()), Fields: e.fields}
	}
	return infos
}

func dataSourceInfos() map[string]*tfbridge.DataSourceInfo {
	infos := map[string]*tfbridge.DataSourceInfo{}
	for name, e := range dataSources {
		infos[name] = &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember(e.token()), Fields: e.fields}
	}
	return infos
}

// lowerCaseName auto-names in lower case, as bucket names have to be.
func lowerCaseName(name string, longest int) *tfbridge.SchemaInfo {
	return tfbridge.AutoNameTransform(name, longest, strings.ToLower)
}
