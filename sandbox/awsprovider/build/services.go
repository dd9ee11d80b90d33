package main

// services are the provider's packages that the types of ../types need.
// Packages that these import are kept with them.
var services = []string{
	"batch", "budgets", "cloudwatch", "ec2", "ecr", "events", "iam", "kms", "logs", "meta",
	"s3", "secretsmanager", "sns", "sqs", "ssm", "sts",
}
