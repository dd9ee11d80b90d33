package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// graph is one that a violation is planted in.
type graph struct {
	t *testing.T
	*recorded.Graph
}

// clone returns a copy of which every input can be changed.
func clone(g *recorded.Graph) *recorded.Graph {
	c := *g
	c.Resources = slices.Clone(g.Resources)
	for i := range c.Resources {
		c.Resources[i].Inputs = copied(c.Resources[i].Inputs).(map[string]any)
	}
	return &c
}

func copied(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := map[string]any{}
		for name, inner := range v {
			c[name] = copied(inner)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, inner := range v {
			c[i] = copied(inner)
		}
		return c
	}
	return value
}

// find returns the resource of a type and name.
func (g *graph) find(token, name string) *componenttest.Resource {
	g.t.Helper()
	for i := range g.Resources {
		if g.Resources[i].Type == token && g.Resources[i].Name == name {
			return &g.Resources[i]
		}
	}
	require.Fail(g.t, "there is no "+token+" "+name)
	return nil
}

// set changes a property at a path; lists are changed in their first element. nil
// removes it.
func (g *graph) set(token, name, path string, value any) {
	g.t.Helper()
	put(g.find(token, name).Inputs, strings.Split(path, "."), value)
}

func put(in map[string]any, path []string, value any) {
	step, list := strings.CutSuffix(path[0], "[]")
	switch {
	case len(path) == 1 && value == nil:
		delete(in, step)
	case len(path) == 1:
		in[step] = value
	case list:
		put(in[step].([]any)[0].(map[string]any), path[1:], value)
	default:
		put(in[step].(map[string]any), path[1:], value)
	}
}

// json is set within an input that holds JSON.
func (g *graph) json(token, name, input, path string, value any) {
	g.t.Helper()
	res := g.find(token, name)
	var decoded map[string]any
	require.NoError(g.t, json.Unmarshal([]byte(res.Inputs[input].(string)), &decoded))
	put(decoded, strings.Split(path, "."), value)
	text, err := json.Marshal(decoded)
	require.NoError(g.t, err)
	res.Inputs[input] = string(text)
}

// environment adds a variable to a job definition's container.
func (g *graph) environment(definition, name, value string) {
	g.json(jobDefinition, definition, "containerProperties", "environment", []any{map[string]any{"name": name, "value": value}})
}

// statement adds a statement, as JSON, to the policy that an input holds.
func (g *graph) statement(token, name, input, statement string) {
	g.t.Helper()
	res := g.find(token, name)
	text := res.Inputs[input].(string)
	require.True(g.t, strings.HasSuffix(text, "]}"))
	res.Inputs[input] = strings.TrimSuffix(text, "]}") + "," + statement + "]}"
}

// grant adds a statement that allows an action on a resource; the Sid is quoted.
func (g *graph) grant(token, name, sid, action, resource string) {
	g.t.Helper()
	g.statement(token, name, "policy", fmt.Sprintf(`{"Sid":%s,"Effect":"Allow","Action":%q,"Resource":%q}`, sid, action, resource))
}

// drop removes a resource.
func (g *graph) drop(token, name string) {
	g.t.Helper()
	res := g.find(token, name)
	g.Resources = slices.DeleteFunc(g.Resources, func(r componenttest.Resource) bool { return r.Type == res.Type && r.Name == res.Name })
}

// plant is a violation: how it is planted in an environment, and the finding.
type plant struct {
	how  func(*graph)
	want string // RESOURCE: PROPERTY is VALUE
}

const (
	builder = "aws:ec2/instance:Instance builder: "
	hosts   = "aws:ec2/launchTemplate:LaunchTemplate hosts: "
	bobs    = "aws:batch/jobDefinition:JobDefinition sessions-bob: "
	builds  = "aws:s3/bucketV2:BucketV2 game-builds: "
	player1 = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule network-tcp-8443-8443-198.51.100.0/25"
	players = "network-tcp-8443-8443-198.51.100.0/25"
	aKey    = "AKIAIOSFODNN7EXAMPLE" // of AWS's documentation
)

// planted is a violation, or several, of every rule, in prod.
var planted = map[string][]plant{
	"metadata-tokens": {
		{func(g *graph) { g.set(instance, "builder", "metadataOptions.httpTokens", "optional") }, builder + "metadataOptions.httpTokens is optional"},
		{func(g *graph) { g.set(launchTemplate, "hosts", "metadataOptions", nil) }, hosts + "metadataOptions.httpTokens is not set"},
	},
	"metadata-hops": {
		{func(g *graph) { g.set(launchTemplate, "hosts", "metadataOptions.httpPutResponseHopLimit", 2.) }, hosts + "metadataOptions.httpPutResponseHopLimit is 2"},
	},
	"volumes-encrypted": {
		{func(g *graph) { g.set(instance, "builder", "rootBlockDevice.encrypted", false) }, builder + "rootBlockDevice.encrypted is false"},
		{func(g *graph) { g.set(instance, "builder", "rootBlockDevice", nil) }, builder + "rootBlockDevice.encrypted is not set"},
		{func(g *graph) {
			g.set(instance, "builder", "ebsBlockDevices", []any{map[string]any{"deviceName": "/dev/sdb"}})
		}, builder + "ebsBlockDevices[].encrypted is not set"},
		{func(g *graph) { g.set(launchTemplate, "hosts", "blockDeviceMappings[].ebs.encrypted", nil) }, hosts + "blockDeviceMappings[].ebs.encrypted is not set"},
		{func(g *graph) { g.set(launchTemplate, "hosts", "blockDeviceMappings", nil) }, hosts + "blockDeviceMappings[].ebs.encrypted is not set"},
	},
	"no-public-address": {
		{func(g *graph) { g.set(instance, "builder", "associatePublicIpAddress", true) }, builder + "associatePublicIpAddress is true"},
		{func(g *graph) {
			g.set(launchTemplate, "hosts", "networkInterfaces", []any{map[string]any{"associatePublicIpAddress": "true"}})
		}, hosts + "networkInterfaces[].associatePublicIpAddress is true"},
	},
	"no-public-subnet": {
		{func(g *graph) { g.find(vpc, "network").Name = "other" }, "awsx:ec2:Vpc other: subnetSpecs[].type is Public"},
	},
	"no-secret-in-user-data": {
		{func(g *graph) {
			g.set(instance, "builder", "userData", "#!/bin/sh\naws configure set aws_access_key_id "+aKey)
		}, builder + "userData is a script with a credential"},
		{func(g *graph) {
			g.set(launchTemplate, "hosts", "userData", base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\nexport DB_PASSWORD='correct-horse'\n")))
		}, hosts + "userData is a script that sets DB_PASSWORD"},
	},
	"only-session-ports": {
		{func(g *graph) { g.set(ingress, players, "fromPort", 22.) }, player1 + ": fromPort-toPort is 22-8443"},
		{func(g *graph) { g.set(ingress, players, "ipProtocol", "-1") }, player1 + ": ipProtocol is -1"},
		{func(g *graph) { g.set(ingress, players, "cidrIpv4", "192.0.2.0/24") }, player1 + ": cidr is 192.0.2.0/24"},
		{func(g *graph) { g.set(ingress, players, "securityGroupId", "builder-id") }, player1 + ": securityGroupId is that of aws:ec2/instance:Instance builder"},
		{func(g *graph) {
			g.set(securityGroup, "builder", "ingress", []any{map[string]any{"fromPort": 22., "toPort": 22., "protocol": "tcp"}})
		}, `aws:ec2/securityGroup:SecurityGroup builder: ingress is [{"fromPort":22,"protocol":"tcp","toPort":22}]`},
	},
	"not-from-everywhere": {
		{func(g *graph) {
			g.Config.Network.PlayerCIDRs = []string{"0.0.0.0/0", "198.51.100.0/25"}
			g.set(ingress, players, "cidrIpv4", "0.0.0.0/0")
		}, player1 + ": cidrIpv4 is 0.0.0.0/0"},
		{func(g *graph) {
			g.Config.Network.PlayerCIDRs = []string{"::/0", "198.51.100.0/25"}
			g.set(ingress, players, "cidrIpv4", nil)
			g.set(ingress, players, "cidrIpv6", "::/0")
		}, player1 + ": cidrIpv6 is ::/0"},
	},
	"image-by-digest": {
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "image", "111111111111.dkr.ecr.us-east-1.amazonaws.com/game:latest")
		}, bobs + "containerProperties.image is 111111111111.dkr.ecr.us-east-1.amazonaws.com/game:latest"},
	},
	"not-privileged": {
		{func(g *graph) { g.json(jobDefinition, "sessions-bob", "containerProperties", "privileged", true) }, bobs + "containerProperties.privileged is true"},
	},
	"no-host-access": {
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "volumes", []any{map[string]any{"host": map[string]any{"sourcePath": "/"}}})
		}, bobs + `containerProperties.volumes is [{"host":{"sourcePath":"/"}}]`},
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "mountPoints", []any{map[string]any{"containerPath": "/host"}})
		}, bobs + `containerProperties.mountPoints is [{"containerPath":"/host"}]`},
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "linuxParameters.devices", []any{map[string]any{"hostPath": "/dev/mem"}})
		}, bobs + `containerProperties.linuxParameters.devices is [{"hostPath":"/dev/mem"}]`},
	},
	"no-secret-in-environment": {
		{func(g *graph) { g.environment("sessions-bob", "DCV_PASSWORD", "correct-horse") }, bobs + "containerProperties.environment DCV_PASSWORD is named like a secret"},
		{func(g *graph) { g.environment("sessions-bob", "DCV_OTHER", aKey) }, bobs + "containerProperties.environment DCV_OTHER is a credential"},
	},
	"job-has-log": {
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "logConfiguration.logDriver", "none")
		}, bobs + "containerProperties.logConfiguration.logDriver is none"},
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "logConfiguration.options.awslogs-group", "/other")
		}, bobs + "containerProperties.logConfiguration.options.awslogs-group is /other"},
	},
	"roles-apart": {
		{func(g *graph) {
			g.json(jobDefinition, "sessions-bob", "containerProperties", "executionRoleArn", "arn:aws:iam::123456789012:role/roles-session-0a1b2c3")
		}, bobs + "containerProperties.jobRoleArn is arn:aws:iam::123456789012:role/roles-session-0a1b2c3"},
	},
	"bucket-encrypted": {
		{func(g *graph) { g.drop(bucketSealed, "game-builds") }, builds + bucketSealed + " is not set"},
		{func(g *graph) { g.set(bucketSealed, "game-builds", "rules", nil) }, builds + bucketSealed + " game-builds: rules[].applyServerSideEncryptionByDefault.sseAlgorithm is not set"},
	},
	"bucket-private": {
		{func(g *graph) { g.drop(bucketPrivate, "game-builds") }, builds + bucketPrivate + " is not set"},
		{func(g *graph) { g.set(bucketPrivate, "game-builds", "blockPublicAcls", false) }, builds + bucketPrivate + " game-builds: blockPublicAcls is false"},
		{func(g *graph) { g.set(bucketPrivate, "game-builds", "blockPublicPolicy", nil) }, builds + bucketPrivate + " game-builds: blockPublicPolicy is not set"},
		{func(g *graph) { g.set(bucketPrivate, "game-builds", "ignorePublicAcls", false) }, builds + bucketPrivate + " game-builds: ignorePublicAcls is false"},
		{func(g *graph) { g.set(bucketPrivate, "game-builds", "restrictPublicBuckets", false) }, builds + bucketPrivate + " game-builds: restrictPublicBuckets is false"},
	},
	"bucket-without-acl": {
		{func(g *graph) { g.set(bucketACL, "game-builds", "rule.objectOwnership", "ObjectWriter") }, builds + bucketACL + " game-builds: rule.objectOwnership is ObjectWriter"},
	},
	"bucket-versioned": {
		{func(g *graph) { g.set(bucketVersions, "game-builds", "versioningConfiguration.status", "Suspended") }, builds + bucketVersions + " game-builds: versioningConfiguration.status is Suspended"},
	},
	"bucket-expires": {
		{func(g *graph) { g.set(bucketLifecycle, "game-builds", "rules[].status", "Disabled") }, builds + bucketLifecycle + " game-builds: rules[].status is Disabled"},
	},
	"topic-encrypted": {
		{func(g *graph) { g.set(topic, "secrets-team", "kmsMasterKeyId", nil) }, "aws:sns/topic:Topic secrets-team: kmsMasterKeyId is not set"},
	},
	"queue-encrypted": {
		{func(g *graph) { g.set(queue, "delivery-undelivered", "sqsManagedSseEnabled", false) }, "aws:sqs/queue:Queue delivery-undelivered: sqsManagedSseEnabled is false"},
	},
	"tls-only": {
		{func(g *graph) { g.drop(bucketPolicy, "game-builds") }, builds + bucketPolicy + " is not set"},
		{func(g *graph) {
			g.set(topicPolicy, "secrets-team", "policy", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"sns:Publish","Resource":"*"}]}`)
		}, "aws:sns/topic:Topic secrets-team: " + topicPolicy + " secrets-team: policy is without such a statement"},
		{func(g *graph) { g.drop(topicPolicy, "secrets-alice-notification") }, "aws:sns/topic:Topic secrets-alice-notification: " + topicPolicy + " is not set"},
		{func(g *graph) { g.drop(queuePolicy, "delivery-undelivered") }, "aws:sqs/queue:Queue delivery-undelivered: " + queuePolicy + " is not set"},
	},
	"key-rotates": {
		{func(g *graph) { g.set(key, "secrets-topics", "enableKeyRotation", nil) }, "aws:kms/key:Key secrets-topics: enableKeyRotation is not set"},
	},
	"deletion-can-be-undone": {
		{func(g *graph) { g.set(secret, "secrets-bob-credentials", "recoveryWindowInDays", 0.) }, "aws:secretsmanager/secret:Secret secrets-bob-credentials: recoveryWindowInDays is 0"},
		{func(g *graph) { g.set(key, "secrets-topics", "deletionWindowInDays", nil) }, "aws:kms/key:Key secrets-topics: deletionWindowInDays is not set"},
	},
	"log-ends": {
		{func(g *graph) {
			g.set(logGroup, "logs", "retentionInDays", 0.)
			g.find(logGroup, "logs").Name = "other"
		}, "aws:cloudwatch/logGroup:LogGroup other: retentionInDays is 0"},
	},
	"log-for-a-year": {
		{func(g *graph) { g.set(logGroup, "logs", "retentionInDays", 90.) }, "aws:cloudwatch/logGroup:LogGroup logs: retentionInDays is 90"},
	},
	"image-scanned": {
		{func(g *graph) { g.set(repository, "registry", "imageScanningConfiguration", nil) }, "aws:ecr/repository:Repository registry: imageScanningConfiguration.scanOnPush is not set"},
	},
	"tags-immutable": {
		{func(g *graph) { g.find(repository, "registry").Name = "other" }, "aws:ecr/repository:Repository other: imageTagMutability is MUTABLE"},
	},
	"images-expire": {
		{func(g *graph) { g.drop(imageLifecycle, "registry") }, "aws:ecr/repository:Repository registry: " + imageLifecycle + " is not set"},
	},
	"protected": {
		{func(g *graph) { g.find(logGroup, "logs").Protect = false }, "aws:cloudwatch/logGroup:LogGroup logs: protect is false"},
		{func(g *graph) { g.set(bucket, "game-builds", "forceDestroy", true) }, builds + "forceDestroy is true"},
		{func(g *graph) { g.set(repository, "registry", "forceDelete", true) }, "aws:ecr/repository:Repository registry: forceDelete is true"},
	},
	"no-wildcard-action": {
		{func(g *graph) { g.grant(rolePolicy, "roles-host", `"More"`, "s3:*", "arn:aws:s3:::bucket") }, "aws:iam/rolePolicy:RolePolicy roles-host: More is s3:*"},
		{func(g *graph) {
			g.statement(policy, "launcher", "policy", `{"Sid":"More","Effect":"Allow","NotAction":["iam:PassRole"],"Resource":"arn:aws:s3:::bucket"}`)
		}, "aws:iam/policy:Policy launcher: More is * but iam:PassRole"},
		{func(g *graph) {
			g.set(role, "roles-host", "inlinePolicies", []any{map[string]any{"policy": `{"Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"arn:aws:s3:::bucket"}]}`}})
		}, "aws:iam/role:Role roles-host: inlinePolicies[0].policy.Statement[0] is ec2:*"},
		{func(g *graph) {
			g.statement(bucketPolicy, "game-builds", "policy", `{"Sid":"Other","Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"s3:Get*","Resource":"*"}`)
		}, "aws:s3/bucketPolicy:BucketPolicy game-builds: Other is s3:Get*"},
	},
	"no-wildcard-resource": {
		{func(g *graph) { g.grant(rolePolicy, "roles-session", `"More"`, "sns:Publish", "*") }, "aws:iam/rolePolicy:RolePolicy roles-session: More sns:Publish is *"},
		{func(g *graph) {
			g.grant(rolePolicy, "roles-execution", `"More"`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:*")
		}, "aws:iam/rolePolicy:RolePolicy roles-execution: More secretsmanager:GetSecretValue is arn:aws:secretsmanager:us-east-1:123456789012:secret:*"},
		{func(g *graph) {
			g.grant(rolePolicy, "roles-execution", `"More"`, "logs:PutLogEvents", "arn:aws:logs:*:123456789012:log-group:/a/b")
		}, "aws:iam/rolePolicy:RolePolicy roles-execution: More logs:PutLogEvents is arn:aws:logs:*:123456789012:log-group:/a/b"},
		{func(g *graph) {
			g.statement(policy, "launcher", "policy", `{"Sid":"More","Effect":"Allow","Action":"batch:CancelJob","Resource":"*",
				"Condition":{"StringLike":{"aws:ResourceTag/dcv-sessions:stack":"*"}}}`)
		}, "aws:iam/policy:Policy launcher: More batch:CancelJob is * if StringLike aws:ResourceTag/dcv-sessions:stack *"},
		{func(g *graph) {
			g.statement(policy, "launcher", "policy", `{"Sid":"More","Effect":"Allow","Action":"batch:CancelJob","NotResource":"arn:aws:batch:us-east-1:123456789012:job/1"}`)
		}, "aws:iam/policy:Policy launcher: More batch:CancelJob is * but arn:aws:batch:us-east-1:123456789012:job/1"},
	},
	"no-public-policy": {
		{func(g *graph) {
			g.statement(bucketPolicy, "game-builds", "policy", `{"Sid":"Public","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`)
		}, "aws:s3/bucketPolicy:BucketPolicy game-builds: Public Principal is *"},
		{func(g *graph) {
			g.statement(topicPolicy, "secrets-team", "policy", `{"Sid":"Public","Effect":"Allow","NotPrincipal":{"AWS":"222222222222"},"Action":"sns:Publish","Resource":"*"}`)
		}, `aws:sns/topicPolicy:TopicPolicy secrets-team: Public NotPrincipal is {"AWS":"222222222222"}`},
	},
	"service-for-whom": {
		{func(g *graph) {
			g.statement(queuePolicy, "delivery-undelivered", "policy", `{"Sid":"More","Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}`)
		}, "aws:sqs/queuePolicy:QueuePolicy delivery-undelivered: More is sns.amazonaws.com"},
	},
	"exact-trust": {
		{func(g *graph) { g.trust(`{"AWS":"arn:aws:iam::222222222222:root"}`, `{}`) }, "aws:iam/role:Role roles-host: Other is arn:aws:iam::222222222222:root"},
		{func(g *graph) {
			g.trust(`{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}`,
				`{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"},"StringLike":{"token.actions.githubusercontent.com:sub":"repo:studio/*"}}`)
		}, "aws:iam/role:Role roles-host: Other is arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com with :sub null"},
		{func(g *graph) {
			g.trust(`{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}`,
				`{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:studio/game:ref:refs/heads/main"}}`)
		}, "aws:iam/role:Role roles-host: Other is arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com with :aud null"},
	},
	"roles-bounded": {
		{func(g *graph) { g.set(role, "roles-host", "permissionsBoundary", "") }, "aws:iam/role:Role roles-host: permissionsBoundary is "},
	},
	"no-aws-managed-policy": {
		{func(g *graph) {
			g.set(attachment, "roles-builder-AmazonSSMManagedInstanceCore", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess")
		}, "aws:iam/rolePolicyAttachment:RolePolicyAttachment roles-builder-AmazonSSMManagedInstanceCore: policyArn is arn:aws:iam::aws:policy/AdministratorAccess"},
		{func(g *graph) {
			g.set(role, "roles-host", "managedPolicyArns", []any{"arn:aws:iam::aws:policy/AmazonS3FullAccess"})
		}, "aws:iam/role:Role roles-host: managedPolicyArns[] is arn:aws:iam::aws:policy/AmazonS3FullAccess"},
	},
	"tagged": {
		{func(g *graph) { g.set(key, "secrets-topics", "tags.dcv-sessions:stack", "dev") }, "aws:kms/key:Key secrets-topics: tags dcv-sessions:stack is dev"},
		{func(g *graph) { g.set(instance, "builder", "volumeTags.dcv-sessions:project", nil) }, builder + "volumeTags dcv-sessions:project is not set"},
		{func(g *graph) { g.set(launchTemplate, "hosts", "tagSpecifications[].tags.dcv-sessions:stack", nil) }, hosts + "tagSpecifications[].tags dcv-sessions:stack is not set"},
	},
	"alarm-tells": {
		{func(g *graph) { g.set(alarm, "delivery-undelivered", "alarmActions", []any{}) }, "aws:cloudwatch/metricAlarm:MetricAlarm delivery-undelivered: alarmActions[] is not set"},
		{func(g *graph) { g.set(alarm, "delivery-undelivered", "actionsEnabled", false) }, "aws:cloudwatch/metricAlarm:MetricAlarm delivery-undelivered: actionsEnabled is false"},
	},
}

// trust adds a principal that may assume the hosts' role.
func (g *graph) trust(principal, condition string) {
	g.t.Helper()
	g.statement(role, "roles-host", "assumeRolePolicy", fmt.Sprintf(
		`{"Sid":"Other","Effect":"Allow","Principal":%s,"Action":"sts:AssumeRoleWithWebIdentity","Condition":%s}`, principal, condition))
}

func TestEveryRuleFindsWhatIsPlanted(t *testing.T) {
	for _, rule := range rules {
		assert.NotEmpty(t, planted[rule.name], "%s: plant a violation of it here", rule.name)
	}
	for _, name := range slices.Sorted(maps.Keys(planted)) {
		for i, p := range planted[name] {
			t.Run(fmt.Sprintf("%s %d", name, i+1), func(t *testing.T) {
				g := clone(recordedOf(t, "prod"))
				settings := *g.Config
				g.Config = &settings
				p.how(&graph{t, g})
				var found []string
				for _, v := range check(rules, exceptions, []*recorded.Graph{g}).violations {
					if v.rule.name == name {
						found = append(found, fmt.Sprintf("%s: %s is %s", v.resource, v.property, v.value))
					}
				}
				assert.Equal(t, []string{p.want}, found)
			})
		}
	}
}
