// Package types names the types that the sandbox's AWS provider serves. The
// builder drops the source of all others.
package types

import (
	"unicode"
	"unicode/utf8"
)

// Type is the module and the name of a type in pulumi-aws.
type Type struct{ Module, Name string }

// Token returns the type's token, such as aws:batch/jobQueue:JobQueue.
func (t Type) Token() string {
	first, size := utf8.DecodeRuneInString(t.Name)
	return "aws:" + t.Module + "/" + string(unicode.ToLower(first)) + t.Name[size:] + ":" + t.Name
}

// Resources are the types that the program declares or is about to, by their
// names in Terraform.
var Resources = map[string]Type{
	"aws_batch_compute_environment":                      {"batch", "ComputeEnvironment"},
	"aws_batch_job_definition":                           {"batch", "JobDefinition"},
	"aws_batch_job_queue":                                {"batch", "JobQueue"},
	"aws_budgets_budget":                                 {"budgets", "Budget"},
	"aws_cloudwatch_dashboard":                           {"cloudwatch", "Dashboard"},
	"aws_cloudwatch_event_api_destination":               {"cloudwatch", "EventApiDestination"},
	"aws_cloudwatch_event_connection":                    {"cloudwatch", "EventConnection"},
	"aws_cloudwatch_event_rule":                          {"cloudwatch", "EventRule"},
	"aws_cloudwatch_event_target":                        {"cloudwatch", "EventTarget"},
	"aws_cloudwatch_log_group":                           {"cloudwatch", "LogGroup"},
	"aws_cloudwatch_log_metric_filter":                   {"cloudwatch", "LogMetricFilter"},
	"aws_cloudwatch_metric_alarm":                        {"cloudwatch", "MetricAlarm"},
	"aws_ecr_lifecycle_policy":                           {"ecr", "LifecyclePolicy"},
	"aws_ecr_repository":                                 {"ecr", "Repository"},
	"aws_ecr_repository_policy":                          {"ecr", "RepositoryPolicy"},
	"aws_iam_instance_profile":                           {"iam", "InstanceProfile"},
	"aws_iam_openid_connect_provider":                    {"iam", "OpenIdConnectProvider"},
	"aws_iam_policy":                                     {"iam", "Policy"},
	"aws_iam_role":                                       {"iam", "Role"},
	"aws_iam_role_policy":                                {"iam", "RolePolicy"},
	"aws_iam_role_policy_attachment":                     {"iam", "RolePolicyAttachment"},
	"aws_instance":                                       {"ec2", "Instance"},
	"aws_kms_key":                                        {"kms", "Key"},
	"aws_launch_template":                                {"ec2", "LaunchTemplate"},
	"aws_s3_bucket":                                      {"s3", "BucketV2"},
	"aws_s3_bucket_lifecycle_configuration":              {"s3", "BucketLifecycleConfigurationV2"},
	"aws_s3_bucket_notification":                         {"s3", "BucketNotification"},
	"aws_s3_bucket_ownership_controls":                   {"s3", "BucketOwnershipControls"},
	"aws_s3_bucket_policy":                               {"s3", "BucketPolicy"},
	"aws_s3_bucket_public_access_block":                  {"s3", "BucketPublicAccessBlock"},
	"aws_s3_bucket_server_side_encryption_configuration": {"s3", "BucketServerSideEncryptionConfigurationV2"},
	"aws_s3_bucket_versioning":                           {"s3", "BucketVersioningV2"},
	"aws_secretsmanager_secret":                          {"secretsmanager", "Secret"},
	"aws_secretsmanager_secret_version":                  {"secretsmanager", "SecretVersion"},
	"aws_security_group":                                 {"ec2", "SecurityGroup"},
	"aws_sns_topic":                                      {"sns", "Topic"},
	"aws_sns_topic_policy":                               {"sns", "TopicPolicy"},
	"aws_sns_topic_subscription":                         {"sns", "TopicSubscription"},
	"aws_sqs_queue":                                      {"sqs", "Queue"},
	"aws_sqs_queue_policy":                               {"sqs", "QueuePolicy"},
	"aws_vpc_security_group_egress_rule":                 {"vpc", "SecurityGroupEgressRule"},
	"aws_vpc_security_group_ingress_rule":                {"vpc", "SecurityGroupIngressRule"},
}

// DataSources are the functions that the program calls.
var DataSources = map[string]Type{
	"aws_caller_identity":             {"index", "getCallerIdentity"},
	"aws_ecr_authorization_token":     {"ecr", "getAuthorizationToken"},
	"aws_ecr_image":                   {"ecr", "getImage"},
	"aws_iam_openid_connect_provider": {"iam", "getOpenIdConnectProvider"},
	"aws_partition":                   {"index", "getPartition"},
	"aws_region":                      {"index", "getRegion"},
	"aws_s3_object":                   {"s3", "getObject"},
	"aws_ssm_parameter":               {"ssm", "getParameter"},
	"aws_subnet":                      {"ec2", "getSubnet"},
}
