package componenttest

import (
	"fmt"
	"strings"
)

// arn returns the ARN that the mock gives a resource.
func arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, Region, Account, resource)
}

// named is a type with a physical name: the input "name", or one derived from its
// logical name as Pulumi's auto-naming does, with an ARN that ends with that name.
func named(service, resourcePrefix string) func(string, map[string]any) map[string]any {
	return func(name string, inputs map[string]any) map[string]any {
		physical, ok := inputs["name"].(string)
		if !ok {
			if prefix, has := inputs["namePrefix"].(string); has {
				physical = prefix + "0a1b2c"
			} else {
				physical = name + "-0a1b2c3"
			}
		}
		return map[string]any{"name": physical, "arn": arn(service, resourcePrefix+physical)}
	}
}

func iamNamed(kind string) func(string, map[string]any) map[string]any {
	return func(name string, inputs map[string]any) map[string]any {
		physical, ok := inputs["name"].(string)
		if !ok {
			physical = name + "-0a1b2c3"
		}
		return map[string]any{"name": physical, "arn": "arn:aws:iam::" + Account + ":" + kind + "/" + physical}
	}
}

// oidcARN is that of an account's OpenID Connect provider: its URL without the scheme.
func oidcARN(url any) string {
	return "arn:aws:iam::" + Account + ":oidc-provider/" + strings.TrimPrefix(fmt.Sprint(url), "https://")
}

func none(string, map[string]any) map[string]any { return nil }

// awsTypes are the resource types of the program, with the values that AWS computes.
var awsTypes = map[string]func(string, map[string]any) map[string]any{
	"aws:batch/computeEnvironment:ComputeEnvironment": func(name string, in map[string]any) map[string]any {
		prefix, ok := in["computeEnvironmentNamePrefix"].(string)
		if !ok {
			prefix = name + "-"
		}
		return map[string]any{"computeEnvironmentName": prefix + "0a1b2c", "arn": arn("batch", "compute-environment/"+prefix+"0a1b2c")}
	},
	"aws:batch/jobDefinition:JobDefinition": func(name string, in map[string]any) map[string]any {
		physical, ok := in["name"].(string)
		if !ok {
			physical = name + "-0a1b2c3"
		}
		return map[string]any{"name": physical, "revision": 1,
			"arn": arn("batch", "job-definition/"+physical+":1"), "arnPrefix": arn("batch", "job-definition/"+physical)}
	},
	"aws:batch/jobQueue:JobQueue":                            named("batch", "job-queue/"),
	"aws:budgets/budget:Budget":                              named("budgets", "budget/"),
	"aws:cloudwatch/dashboard:Dashboard":                     none,
	"aws:cloudwatch/logGroup:LogGroup":                       named("logs", "log-group:"),
	"aws:cloudwatch/logMetricFilter:LogMetricFilter":         none,
	"aws:cloudwatch/eventRule:EventRule":                     named("events", "rule/"),
	"aws:cloudwatch/eventConnection:EventConnection":         named("events", "connection/"),
	"aws:cloudwatch/eventApiDestination:EventApiDestination": named("events", "api-destination/"),
	"aws:cloudwatch/eventTarget:EventTarget":                 none,
	"aws:cloudwatch/metricAlarm:MetricAlarm":                 named("cloudwatch", "alarm:"),
	"aws:ec2/instance:Instance": func(n string, _ map[string]any) map[string]any {
		return map[string]any{"arn": arn("ec2", "instance/i-"+n)}
	},
	"aws:ec2/launchTemplate:LaunchTemplate": func(n string, in map[string]any) map[string]any {
		return map[string]any{"latestVersion": 1, "defaultVersion": 1, "arn": arn("ec2", "launch-template/lt-"+n)}
	},
	"aws:ec2/securityGroup:SecurityGroup": func(n string, _ map[string]any) map[string]any {
		return map[string]any{"arn": arn("ec2", "security-group/sg-"+n)}
	},
	"aws:ec2/vpcEndpoint:VpcEndpoint":                           none,
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": none,
	"aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule":   none,
	"awsx:ec2:Vpc": func(string, map[string]any) map[string]any {
		return map[string]any{"vpcId": "vpc-new", "publicSubnetIds": []any{"subnet-new-a", "subnet-new-b"}}
	},
	"aws:ecr/lifecyclePolicy:LifecyclePolicy":   none,
	"aws:ecr/repositoryPolicy:RepositoryPolicy": none,
	"aws:ecr/repository:Repository": func(n string, in map[string]any) map[string]any {
		physical, ok := in["name"].(string)
		if !ok {
			physical = n + "-0a1b2c3"
		}
		return map[string]any{"name": physical, "arn": arn("ecr", "repository/"+physical), "registryId": Account,
			"repositoryUrl": fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com/%s", Account, Region, physical)}
	},
	"aws:iam/role:Role":                                 iamNamed("role"),
	"aws:iam/policy:Policy":                             iamNamed("policy"),
	"aws:iam/instanceProfile:InstanceProfile":           iamNamed("instance-profile"),
	"aws:iam/rolePolicy:RolePolicy":                     none,
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment": none,
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider": func(_ string, in map[string]any) map[string]any {
		return map[string]any{"arn": oidcARN(in["url"])}
	},
	"aws:kms/key:Key": func(n string, _ map[string]any) map[string]any {
		return map[string]any{"keyId": n, "arn": arn("kms", "key/"+n)}
	},
	"aws:kms/alias:Alias": none,
	"aws:s3/bucketV2:BucketV2": func(n string, in map[string]any) map[string]any {
		physical, ok := in["bucket"].(string)
		if !ok {
			physical = n + "-0a1b2c3"
		}
		return map[string]any{"bucket": physical, "arn": "arn:aws:s3:::" + physical}
	},
	"aws:s3/bucketNotification:BucketNotification":                                               none,
	"aws:s3/bucketPolicy:BucketPolicy":                                                           none,
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":                                     none,
	"aws:s3/bucketVersioningV2:BucketVersioningV2":                                               none,
	"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2":                       none,
	"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": none,
	"aws:s3/bucketOwnershipControls:BucketOwnershipControls":                                     none,
	"aws:secretsmanager/secret:Secret":                                                           named("secretsmanager", "secret:"),
	"aws:sqs/queue:Queue": func(n string, in map[string]any) map[string]any {
		queue := named("sqs", "")(n, in)
		queue["url"] = fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", Region, Account, queue["name"])
		return queue
	},
	"aws:sqs/queuePolicy:QueuePolicy":                none,
	"aws:secretsmanager/secretVersion:SecretVersion": none,
	"aws:sns/topic:Topic":                            named("sns", ""),
	"aws:sns/topicPolicy:TopicPolicy":                none,
	"aws:sns/topicSubscription:TopicSubscription":    none,
	"docker:index/image:Image": func(_ string, in map[string]any) map[string]any {
		name, _ := in["imageName"].(string)
		repository := name[:max(strings.LastIndex(name, ":"), 0)] // without the tag
		return map[string]any{"repoDigest": repository + "@sha256:" + digest}
	},
}

// digest is that of the mock's built image.
const digest = "1111111111111111111111111111111111111111111111111111111111111111"

// awsCalls are the functions of the program, with AWS's answers.
var awsCalls = map[string]func(map[string]any) (map[string]any, error){
	"aws:index/getCallerIdentity:getCallerIdentity": func(map[string]any) (map[string]any, error) {
		return map[string]any{"accountId": Account, "arn": "arn:aws:iam::" + Account + ":root", "userId": Account}, nil
	},
	"aws:index/getRegion:getRegion": func(map[string]any) (map[string]any, error) {
		return map[string]any{"name": Region, "id": Region}, nil
	},
	"aws:index/getPartition:getPartition": func(map[string]any) (map[string]any, error) {
		return map[string]any{"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"}, nil
	},
	"aws:ec2/getSubnet:getSubnet": func(args map[string]any) (map[string]any, error) {
		return map[string]any{"id": args["id"], "vpcId": "vpc-1", "mapPublicIpOnLaunch": true, "availabilityZone": Region + "a"}, nil
	},
	"aws:ec2/getVpc:getVpc": func(args map[string]any) (map[string]any, error) {
		return map[string]any{"id": args["id"], "cidrBlock": "10.0.0.0/16", "enableDnsSupport": true}, nil
	},
	"aws:ssm/getParameter:getParameter": func(args map[string]any) (map[string]any, error) {
		return map[string]any{"name": args["name"], "value": "ami-0123456789abcdef0", "insecureValue": "ami-0123456789abcdef0"}, nil
	},
	"aws:ecr/getAuthorizationToken:getAuthorizationToken": func(map[string]any) (map[string]any, error) {
		return map[string]any{"userName": "AWS", "password": "ecr-token", "authorizationToken": "QVdTOmVjci10b2tlbg==",
			"proxyEndpoint": "https://" + Account + ".dkr.ecr." + Region + ".amazonaws.com"}, nil
	},
	"aws:ecr/getImage:getImage": func(args map[string]any) (map[string]any, error) {
		return map[string]any{"imageDigest": "sha256:" + digest, "repositoryName": args["repositoryName"], "registryId": Account}, nil
	},
	"aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider": func(args map[string]any) (map[string]any, error) {
		return map[string]any{"url": args["url"], "arn": oidcARN(args["url"])}, nil
	},
	"aws:s3/getObject:getObject": func(args map[string]any) (map[string]any, error) {
		version, given := args["versionId"]
		if !given {
			version = "newest"
		}
		return map[string]any{"bucket": args["bucket"], "key": args["key"], "versionId": version, "metadata": map[string]any{"sha256": digest}}, nil
	},
}
