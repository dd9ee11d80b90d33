package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

const (
	tasks       = "ecs-tasks.amazonaws.com"
	trustTasks  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	trustAdmins = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`
)

// guarded is a sandbox with a gateway that decides by the roles' policies. Batch's
// jobs are faked: a call that passes is answered with {}.
type guarded struct {
	sandbox
	rights *Rights
}

func newGuarded(t *testing.T) guarded {
	t.Helper()
	s := newSandbox(t)
	moto := mototest.Moto(t)
	rights := NewRights(moto)
	rights.AccessKey = "sandbox"
	passes := func(c *Call) (*http.Response, error) { return answerJSON(c, http.StatusOK, map[string]any{}), nil }
	s.url = serve(t, Config{Upstream: moto, Registry: s.registry, Behaviours: []Behaviour{
		rights.Behaviour(), rights.SessionManager(), {Name: "jobs", Service: "batch", Answers: map[string]Handler{"*": passes}},
	}})
	s.Config = clientConfig(s.url)
	return guarded{s, rights}
}

// role makes a role of its own for the test, with an inline policy of these statements.
func (g guarded) role(t *testing.T, trust string, list ...string) (arn string) {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	name = fmt.Sprintf("%s-%d", name[:min(len(name), 40)], time.Now().UnixNano())
	g.query(t, "iam", "2010-05-08", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trust)
	if len(list) > 0 {
		g.grant(t, name, list...)
	}
	return "arn:aws:iam::123456789012:role/" + name
}

// grant sets a role's inline policy.
func (g guarded) grant(t *testing.T, role string, list ...string) {
	t.Helper()
	g.query(t, "iam", "2010-05-08", "PutRolePolicy", "RoleName", path.Base(role), "PolicyName", "own", "PolicyDocument", statements(list...))
}

// as returns the configuration of clients that call as a role that trusts ECS tasks.
func (g guarded) as(t *testing.T, roleARN string) aws.Config {
	t.Helper()
	issued, err := g.rights.Issue(ctx, roleARN, tasks)
	require.NoError(t, err)
	return g.with(issued.AccessKeyID, issued.SecretAccessKey, issued.SessionToken)
}

func (g guarded) with(key, secret, token string) aws.Config {
	config := g.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(key, secret, token)
	return config
}

func allow(action, resource string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
}

// refused requires an SDK's error to have a code and a part of its message.
func refused(t *testing.T, err error, code, part string) {
	t.Helper()
	var fault smithy.APIError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, code, fault.ErrorCode())
	assert.Contains(t, fault.ErrorMessage(), part)
}

func (g guarded) secret(t *testing.T, name string) (arn string) {
	t.Helper()
	made, err := secretsmanager.NewFromConfig(g.Config).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("value of " + name)})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := secretsmanager.NewFromConfig(g.Config).DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: made.ARN, ForceDeleteWithoutRecovery: aws.Bool(true)})
		assert.NoError(t, err)
	})
	return *made.ARN
}

func TestTheAdministratorPassesAndAnUnknownKeyDoesNot(t *testing.T) {
	g := newGuarded(t)
	_, err := secretsmanager.NewFromConfig(g.Config).ListSecrets(ctx, nil)
	require.NoError(t, err)

	const invalid = "The security token included in the request is invalid."
	unknown := g.with("ASIAUNKNOWN", "secret", "token")
	_, err = secretsmanager.NewFromConfig(unknown).ListSecrets(ctx, nil)
	refused(t, err, "UnrecognizedClientException", invalid)
	_, err = batch.NewFromConfig(unknown).ListJobs(ctx, &batch.ListJobsInput{JobQueue: aws.String("q")})
	refused(t, err, "UnrecognizedClientException", invalid)
	_, err = sts.NewFromConfig(unknown).GetCallerIdentity(ctx, nil)
	refused(t, err, "InvalidClientTokenId", invalid)
	_, err = s3Client(unknown).ListBuckets(ctx, nil)
	refused(t, err, "InvalidAccessKeyId", invalid)
}

func TestAnUnsignedCallIsRefused(t *testing.T) {
	g := newGuarded(t)
	for name, target := range map[string]string{"Batch": "/v1/describejobqueues", "S3": "/bucket/key", "query": "/?Action=GetCallerIdentity&Version=2011-06-15"} {
		res, err := http.Get(g.url + target)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusForbidden, res.StatusCode, name)
		assert.Contains(t, string(body), "MissingAuthenticationToken", name)
	}
	res, err := http.Get(g.url + HealthPath)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode, "the sandbox's own page is no call of AWS")
}

func s3Client(config aws.Config) *s3.Client {
	return s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
}

func TestARoleReadsTheSecretsThatItsPolicyNamesAndNoOthers(t *testing.T) {
	g := newGuarded(t)
	ada, admin := g.secret(t, "dcv-sessions/dev/users/ada"), g.secret(t, "dcv-sessions/dev/admin")
	other := g.secret(t, "dcv-sessions/prod/users/ada")
	users := allow("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/users/*")
	role := g.role(t, trustTasks, users)
	client := secretsmanager.NewFromConfig(g.as(t, role))
	get := func(id string) (string, error) {
		got, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil {
			return "", err
		}
		return *got.SecretString, nil
	}
	for _, id := range []string{ada, "dcv-sessions/dev/users/ada", strings.TrimSuffix(ada, ada[len(ada)-7:])} {
		got, err := get(id)
		require.NoError(t, err, id)
		assert.Equal(t, "value of dcv-sessions/dev/users/ada", got)
	}
	session := "arn:aws:sts::123456789012:assumed-role/" + path.Base(role) + "/ecs-tasks"
	for id, arn := range map[string]string{
		admin: admin, "dcv-sessions/dev/admin": admin, other: other,
		"dcv-sessions/dev/absent": "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/absent",
	} {
		_, err := get(id)
		refused(t, err, "AccessDeniedException", "User: "+session+" is not authorized to perform: secretsmanager:GetSecretValue on resource: "+arn+
			" because no identity-based policy allows the secretsmanager:GetSecretValue action")
	}
	_, err := get("dcv-sessions/dev/users/absent")
	refused(t, err, "ResourceNotFoundException", "")
	_, err = client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &ada})
	refused(t, err, "AccessDeniedException", "secretsmanager:DescribeSecret")
	_, err = client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &ada})
	refused(t, err, "AccessDeniedException", "secretsmanager:DeleteSecret on resource: *")
}

func TestOneUsersRightsAreNotAnothers(t *testing.T) {
	g := newGuarded(t)
	secrets := map[string]string{}
	for _, user := range []string{"ada", "adam", "bob"} {
		secrets[user] = g.secret(t, "dcv-sessions/dev/users/"+user)
	}
	for user, own := range secrets {
		client := secretsmanager.NewFromConfig(g.as(t, g.role(t, trustTasks, allow("secretsmanager:*", own))))
		for whose, arn := range secrets {
			_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(arn)})
			if whose == user {
				assert.NoError(t, err)
			} else {
				refused(t, err, "AccessDeniedException", arn)
			}
		}
	}
}

func TestAnExplicitDenyIsToldAsOne(t *testing.T) {
	g := newGuarded(t)
	ada := g.secret(t, "dcv-sessions/dev/users/ada")
	role := g.role(t, trustTasks, allow("*", "*"), strings.Replace(allow("secretsmanager:Get*", ada), "Allow", "Deny", 1))
	client := secretsmanager.NewFromConfig(g.as(t, role))
	_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &ada})
	refused(t, err, "AccessDeniedException", "on resource: "+ada+" with an explicit deny in an identity-based policy")
	_, err = client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &ada})
	require.NoError(t, err)
}

func TestTagsOfAJobAreGuardedByItsARNAndItsTags(t *testing.T) {
	g := newGuarded(t)
	const jobs = "arn:aws:batch:us-east-1:123456789012:job/"
	g.rights.JobTags = func(string) map[string]string { return map[string]string{"owner": "ada"} }
	client := batch.NewFromConfig(g.as(t, g.role(t, trustTasks, allow("batch:ListTagsForResource", jobs+"1"),
		`{"Effect":"Allow","Action":"batch:TagResource","Resource":"`+jobs+`*","Condition":{"StringEquals":{"aws:RequestTag/a":"b","aws:ResourceTag/owner":"ada"}}}`)))
	_, err := client.ListTagsForResource(ctx, &batch.ListTagsForResourceInput{ResourceArn: aws.String(jobs + "1")})
	require.NoError(t, err)
	_, err = client.ListTagsForResource(ctx, &batch.ListTagsForResourceInput{ResourceArn: aws.String(jobs + "2")})
	refused(t, err, "AccessDeniedException", "batch:ListTagsForResource on resource: "+jobs+"2")
	tag := func(value string) error {
		_, err := client.TagResource(ctx, &batch.TagResourceInput{ResourceArn: aws.String(jobs + "2"), Tags: map[string]string{"a": value}})
		return err
	}
	require.NoError(t, tag("b"))
	refused(t, tag("c"), "AccessDeniedException", "batch:TagResource")
}

func TestWhatThePolicySaysInAnUnknownWayIsToldAndNotPassed(t *testing.T) {
	g := newGuarded(t)
	ada := g.secret(t, "dcv-sessions/dev/users/ada")
	const all = `"Action":"*","Resource":"*"`
	for name, c := range map[string]struct{ statement, element string }{
		"operator":  {`{"Effect":"Allow",` + all + `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, `Condition operator "IpAddress"`},
		"key":       {`{"Effect":"Allow",` + all + `,"Condition":{"StringEquals":{"aws:PrincipalTag/a":"b"}}}`, `Condition key "aws:PrincipalTag/a"`},
		"NotAction": {`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, "NotAction"},
		"variable":  {allow("*", "arn:aws:secretsmanager:*:*:secret:${aws:username}"), "${aws:username}"},
	} {
		t.Run(name, func(t *testing.T) {
			role := g.role(t, trustTasks, allow("secretsmanager:DescribeSecret", ada))
			client := secretsmanager.NewFromConfig(g.as(t, role))
			g.grant(t, role, allow("*", "*"), strings.Replace(c.statement, "{", `{"Sid":"Odd",`, 1))
			_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &ada})
			refused(t, err, "NotImplemented", c.element)
			refused(t, err, "NotImplemented", `policy "own"`)
			refused(t, err, "NotImplemented", `statement "`)
			refused(t, err, "NotImplemented", role)
		})
	}
}

func TestARoleMayWhatItsPoliciesAndItsBoundaryAllow(t *testing.T) {
	g := newGuarded(t)
	ada, bob := g.secret(t, "dcv-sessions/dev/users/ada"), g.secret(t, "dcv-sessions/dev/users/bob")
	role := g.role(t, trustTasks, allow("secretsmanager:*", "*"))
	client := secretsmanager.NewFromConfig(g.as(t, role))
	get := func(id string) error {
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		return err
	}
	require.NoError(t, get(bob))
	g.bound(t, role, allow("secretsmanager:GetSecretValue", ada), allow("sts:*", "*"))
	require.NoError(t, get(ada))
	refused(t, get(bob), "AccessDeniedException", "on resource: "+bob+" because no permissions boundary allows the secretsmanager:GetSecretValue action")
	g.grant(t, role, allow("secretsmanager:DescribeSecret", "*"))
	refused(t, get(ada), "AccessDeniedException", "because no identity-based policy allows") // a boundary grants nothing
	g.grant(t, role, allow("secretsmanager:*", "*"))

	g.bound(t, role, allow("*", "*"), strings.Replace(allow("*", bob), "Allow", "Deny", 1))
	require.NoError(t, get(ada))
	refused(t, get(bob), "AccessDeniedException", "with an explicit deny in a permissions boundary")
	for principal, good := range map[string]bool{role: true, role + "x": false} {
		g.bound(t, role, strings.Replace(allow("*", "*"), "{", `{"Condition":{"ArnLike":{"aws:PrincipalArn":"`+principal+`"}},`, 1))
		assert.Equal(t, good, get(ada) == nil, "a boundary for %s", principal)
	}
	g.bound(t, role, strings.Replace(allow("*", "*"), `"Resource"`, `"NotResource"`, 1))
	refused(t, get(ada), "NotImplemented", "NotResource")
	g.query(t, "iam", "2010-05-08", "DeleteRolePermissionsBoundary", "RoleName", path.Base(role))
	require.NoError(t, get(bob))
}

// AWS services that act as a role are within its boundary too, and so is a role
// that another one's trust policy names.
func TestABoundaryHoldsForServicesAndForWhoIsTrusted(t *testing.T) {
	g := newGuarded(t)
	const destination = "arn:aws:events:us-east-1:123456789012:api-destination/d"
	role := g.role(t, trustTasks, allow("events:InvokeApiDestination", destination), allow("sts:AssumeRole", "*"))
	trusting := g.role(t, strings.Replace(trustAdmins, "123456789012", role, 1))
	assume := func() error {
		_, err := sts.NewFromConfig(g.as(t, role)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &trusting, RoleSessionName: aws.String("s")})
		return err
	}
	grants := func() error { return g.rights.Grants(ctx, role, tasks, "events:InvokeApiDestination", destination) }
	require.NoError(t, assume())
	require.NoError(t, grants())
	g.bound(t, role, allow("events:InvokeApiDestination", destination))
	refused(t, assume(), "AccessDenied", trusting)
	require.NoError(t, grants())
	g.bound(t, role, allow("sts:AssumeRole", trusting))
	require.NoError(t, assume())
	require.ErrorContains(t, grants(), "not authorized to perform: events:InvokeApiDestination")
}

// bound gives a role a boundary of these statements.
func (g guarded) bound(t *testing.T, role string, list ...string) {
	t.Helper()
	admin := iam.NewFromConfig(g.Config)
	made, err := admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String(fmt.Sprint("boundary-", time.Now().UnixNano())), PolicyDocument: aws.String(statements(list...))})
	require.NoError(t, err)
	_, err = admin.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String(path.Base(role)), PermissionsBoundary: made.Policy.Arn})
	require.NoError(t, err)
}

func TestAChangedPolicyCountsAtOnce(t *testing.T) {
	g := newGuarded(t)
	role := g.role(t, trustTasks)
	client := secretsmanager.NewFromConfig(g.as(t, role))
	list := func() error { _, err := client.ListSecrets(ctx, nil); return err }
	name := fmt.Sprintf("rights-%d", time.Now().UnixNano())
	policy := "arn:aws:iam::123456789012:policy/" + name
	iam := func(action string, params ...string) { t.Helper(); g.query(t, "iam", "2010-05-08", action, params...) }
	denied := func() { t.Helper(); refused(t, list(), "AccessDeniedException", "secretsmanager:ListSecrets") }

	denied()
	g.grant(t, role, allow("secretsmanager:List*", "*"))
	require.NoError(t, list())
	iam("DeleteRolePolicy", "RoleName", path.Base(role), "PolicyName", "own")
	denied()
	iam("CreatePolicy", "PolicyName", name, "PolicyDocument", statements(allow("secretsmanager:ListSecrets", "*")))
	iam("AttachRolePolicy", "RoleName", path.Base(role), "PolicyArn", policy)
	require.NoError(t, list())
	iam("CreatePolicyVersion", "PolicyArn", policy, "SetAsDefault", "true", "PolicyDocument", statements(allow("s3:*", "*")))
	denied()
	iam("SetDefaultPolicyVersion", "PolicyArn", policy, "VersionId", "v1")
	require.NoError(t, list())
	iam("DetachRolePolicy", "RoleName", path.Base(role), "PolicyArn", policy)
	denied()
	iam("DeleteRole", "RoleName", path.Base(role))
	refused(t, list(), "UnrecognizedClientException", "invalid")
}

// A role that was read during a change must not be kept.
func TestARoleReadDuringAChangeIsNotKept(t *testing.T) {
	var r *Rights
	var once sync.Once
	reads := 0
	moto := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.FormValue("Action") {
		case "GetRole":
			reads++
			fmt.Fprint(w, `<R><Arn>arn:aws:iam::123456789012:role/r</Arn></R>`)
		case "ListAttachedRolePolicies":
			once.Do(r.forget)
			fmt.Fprint(w, `<R/>`)
		default:
			fmt.Fprint(w, `<R/>`)
		}
	}))
	defer moto.Close()
	u, err := url.Parse(moto.URL)
	require.NoError(t, err)
	r = NewRights(u)
	for range 3 {
		_, err := r.role(ctx, "arn:aws:iam::123456789012:role/r")
		require.NoError(t, err)
	}
	assert.Equal(t, 2, reads, "the second is kept")
}

// The builder's role has the second of these, and the first has conditions.
func TestAWSsOwnPoliciesCount(t *testing.T) {
	g := newGuarded(t)
	role := g.role(t, trustTasks)
	for _, policy := range []string{"service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonSSMManagedInstanceCore"} {
		g.query(t, "iam", "2010-05-08", "AttachRolePolicy", "RoleName", path.Base(role), "PolicyArn", "arn:aws:iam::aws:policy/"+policy)
	}
	config := g.as(t, role)
	_, err := ecr.NewFromConfig(config).GetAuthorizationToken(ctx, nil)
	require.NoError(t, err)
	_, err = ecr.NewFromConfig(config).PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("dev"), ImageManifest: aws.String("{}")})
	refused(t, err, "AccessDeniedException", "ecr:PutImage on resource: arn:aws:ecr:us-east-1:123456789012:repository/dev")
	res := g.call(t, config, "logs", "Logs_20140328.PutLogEvents", `{"logGroupName":"absent","logStreamName":"s","logEvents":[]}`)
	assert.Contains(t, res, "ResourceNotFoundException", "moto was asked")
	assert.Contains(t, g.call(t, config, "ecs", "AmazonEC2ContainerServiceV20141113.TagResource", `{}`), `Condition key \"ecs:CreateAction\"`)
	assert.Contains(t, g.call(t, config, "ecs", "AmazonEC2ContainerServiceV20141113.ListTagsForResource", `{}`), "the resource of a call of ecs:ListTagsForResource")
	assert.Contains(t, g.call(t, config, "ecs", "AmazonEC2ContainerServiceV20141113.ListClusters", `{}`), "AccessDeniedException")
}

func TestAContainerInstanceIsGuardedByItsCluster(t *testing.T) {
	g := newGuarded(t)
	const clusters = "arn:aws:ecs:us-east-1:123456789012:cluster/"
	host := g.as(t, g.role(t, trustTasks, allow("ecs:RegisterContainerInstance", clusters+"AWSBatch*"), allow("ecs:DiscoverPollEndpoint", "*")))
	for in, denied := range map[string]string{
		`{"cluster":"AWSBatch-hosts-0a1b2c"}`:               "",
		`{"cluster":"` + clusters + `AWSBatch-hosts-0a1b"}`: "",
		`{"cluster":"games"}`:                               "ecs:RegisterContainerInstance on resource: " + clusters + "games",
		`{}`:                                                "ecs:RegisterContainerInstance on resource: " + clusters + "default",
	} {
		got := g.call(t, host, "ecs", "AmazonEC2ContainerServiceV20141113.RegisterContainerInstance", in)
		if denied == "" {
			assert.NotContains(t, got, "AccessDenied", in)
		} else {
			assert.Contains(t, got, denied, in)
		}
	}
	assert.Contains(t, g.call(t, host, "ecs", "AmazonEC2ContainerServiceV20141113.SubmitTaskStateChange", `{"cluster":"AWSBatch-hosts-0a1b2c"}`), "AccessDeniedException")
}

// call makes a call in the JSON protocol, as a role's client would.
func (g guarded) call(t *testing.T, config aws.Config, service, target, body string) string {
	t.Helper()
	as, err := config.Credentials.Retrieve(ctx)
	require.NoError(t, err)
	req, err := http.NewRequest(http.MethodPost, g.url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+as.AccessKeyID+"/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=none")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(answer)
}

func TestLogsAreGuardedByGroupAndStream(t *testing.T) {
	g := newGuarded(t)
	const group = "arn:aws:logs:us-east-1:123456789012:log-group:"
	g.call(t, g.Config, "logs", "Logs_20140328.CreateLogGroup", `{"logGroupName":"/dcv/dev"}`)
	t.Cleanup(func() { g.call(t, g.Config, "logs", "Logs_20140328.DeleteLogGroup", `{"logGroupName":"/dcv/dev"}`) })
	writer := g.as(t, g.role(t, trustTasks, allow("logs:CreateLogStream", group+"/dcv/dev:*"), allow("logs:PutLogEvents", group+"/dcv/dev:log-stream:ada/*"),
		allow("logs:FilterLogEvents", group+"/dcv/dev:*"), allow("logs:DescribeLogStreams", group+"/dcv/dev")))
	for _, c := range []struct{ operation, in, answer string }{
		{"CreateLogStream", `{"logGroupName":"/dcv/dev","logStreamName":"ada/1"}`, ""},
		{"CreateLogStream", `{"logGroupName":"/dcv/dev2","logStreamName":"ada/1"}`, group + "/dcv/dev2:log-stream:ada/1"},
		{"PutLogEvents", `{"logGroupName":"/dcv/dev","logStreamName":"ada/1","logEvents":[]}`, "nextSequenceToken"},
		{"PutLogEvents", `{"logGroupName":"/dcv/dev","logStreamName":"bob/1","logEvents":[]}`, "AccessDeniedException"},
		{"GetLogEvents", `{"logGroupName":"/dcv/dev","logStreamName":"ada/1"}`, "logs:GetLogEvents on resource: " + group + "/dcv/dev:log-stream:ada/1"},
		{"FilterLogEvents", `{"logGroupName":"/dcv/dev"}`, `"events"`},
		{"FilterLogEvents", `{"logGroupIdentifier":"` + group + `/dcv/prod:*"}`, "logs:FilterLogEvents on resource: " + group + "/dcv/prod:log-stream:"},
		{"DescribeLogStreams", `{"logGroupName":"/dcv/dev"}`, "AccessDeniedException"},
		{"DescribeLogGroups", `{}`, group + ":log-stream:"},
	} {
		got := g.call(t, writer, "logs", "Logs_20140328."+c.operation, c.in)
		assert.Contains(t, got, c.answer, "%s %s", c.operation, c.in)
		assert.Equal(t, strings.Contains(c.answer, "AccessDenied") || strings.Contains(c.answer, "arn:"), strings.Contains(got, "AccessDenied"), got)
	}
}

func TestObjectsAreGuardedByTheirKeys(t *testing.T) {
	g := newGuarded(t)
	bucket := aws.String("rights-builds")
	_, err := s3Client(g.Config).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	require.NoError(t, err)
	key := aws.String
	for _, k := range []string{"builds/a b", "other/a"} {
		_, err := s3Client(g.Config).PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key(k), Body: strings.NewReader("x")})
		require.NoError(t, err)
	}
	client := s3Client(g.as(t, g.role(t, trustTasks, allow("s3:GetObject", "arn:aws:s3:::rights-builds/builds/*"), allow("s3:PutObject", "arn:aws:s3:::rights-builds/up/*"))))

	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("builds/a b")})
	require.NoError(t, err)
	require.NoError(t, got.Body.Close())
	_, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key("builds/a b")})
	require.NoError(t, err)
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("up/b"), Body: strings.NewReader("y")})
	require.NoError(t, err)

	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("other/a")})
	refused(t, err, "AccessDenied", "s3:GetObject on resource: arn:aws:s3:::rights-builds/other/a because")
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("builds/a b"), VersionId: aws.String("null")})
	refused(t, err, "AccessDenied", "s3:GetObjectVersion")
	_, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key("other/a")})
	refused(t, err, "Forbidden", "")
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("builds/b"), Body: strings.NewReader("y")})
	refused(t, err, "AccessDenied", "s3:PutObject on resource: arn:aws:s3:::rights-builds/builds/b")
	_, err = client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: key("builds/")})
	refused(t, err, "AccessDenied", "s3:ListBucket on resource: arn:aws:s3:::rights-builds because")
	_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key("up/b")})
	refused(t, err, "NotImplemented", "s3:GetObject")
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("up/c"), Tagging: aws.String("a=b"), Body: strings.NewReader("y")})
	refused(t, err, "NotImplemented", "s3:")

	lister := s3Client(g.as(t, g.role(t, trustTasks, allow("s3:*", "*"))))
	_, err = lister.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: key("builds/")})
	require.NoError(t, err)
	_, err = lister.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key("up/b")})
	require.NoError(t, err)

	presigned, err := s3.NewPresignClient(client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("other/a")})
	require.NoError(t, err)
	res, err := http.Get(presigned.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusForbidden, res.StatusCode, "a presigned address has its signer's rights")
}

func TestQueryServicesAreGuardedInTheirOwnWords(t *testing.T) {
	g := newGuarded(t)
	const topics = "arn:aws:sns:us-east-1:123456789012:"
	role := g.role(t, trustTasks, allow("sns:Publish", topics+"dev-*"))
	issued, err := g.rights.Issue(ctx, role, tasks)
	require.NoError(t, err)
	for _, c := range []struct {
		service, form string
		status        int
		part          string
	}{
		{"sns", "Action=Publish&Message=m&TopicArn=" + topics + "dev-absent", http.StatusNotFound, "does not exist"},
		{"sns", "Action=Publish&Message=m&TopicArn=" + topics + "prod-ada", http.StatusForbidden, "<ErrorResponse><Error><Code>AuthorizationError</Code>"},
		{"sns", "Action=Publish&Message=m&PhoneNumber=%2B491", http.StatusForbidden, "sns:Publish on resource: *"},
		{"iam", "Action=ListRoles&Version=2010-05-08", http.StatusForbidden, "<ErrorResponse><Error><Code>AccessDenied</Code>"},
		{"ec2", "Action=DescribeInstances&Version=2016-11-15", http.StatusForbidden, "<Response><Errors><Error><Code>UnauthorizedOperation</Code>"},
		{"sts", "Action=GetCallerIdentity&Version=2011-06-15", http.StatusOK, path.Base(role)},
	} {
		req, err := http.NewRequest(http.MethodPost, g.url, strings.NewReader(c.form))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+issued.AccessKeyID+"/20260101/us-east-1/"+c.service+"/aws4_request, SignedHeaders=host, Signature=none")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, c.status, res.StatusCode, "%s: %s", c.form, body)
		assert.Contains(t, string(body), c.part, c.form)
	}
}

func TestAServiceGetsCredentialsOfARoleThatTrustsItOnly(t *testing.T) {
	g := newGuarded(t)
	role := g.role(t, trustTasks)
	issued, err := g.rights.Issue(ctx, role, tasks)
	require.NoError(t, err)
	assert.Equal(t, role, issued.RoleARN)
	assert.True(t, issued.Expiration.After(time.Now()))
	who, err := sts.NewFromConfig(g.with(issued.AccessKeyID, issued.SecretAccessKey, issued.SessionToken)).GetCallerIdentity(ctx, nil)
	require.NoError(t, err, "no policy is needed for that")
	assert.Equal(t, "arn:aws:sts::123456789012:assumed-role/"+path.Base(role)+"/ecs-tasks", *who.Arn)

	for name, c := range map[string]struct{ role, service, part string }{
		"another service": {role, "ec2.amazonaws.com", "trust policy"},
		"an account's":    {g.role(t, trustAdmins), tasks, "trust policy"},
		"no role":         {"arn:aws:iam::123456789012:role/absent", tasks, "no such role"},
		"another account": {strings.Replace(role, local.Account, "210987654321", 1), tasks, "no such role"},
		"another path":    {strings.Replace(role, "role/", "role/path/", 1), tasks, "no such role"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := g.rights.Issue(ctx, c.role, c.service)
			var fault *Fault
			require.True(t, errors.As(err, &fault), "%v", err)
			assert.Equal(t, "AccessDenied", fault.Code)
			assert.Contains(t, fault.Message, c.part)
			assert.Empty(t, got)
		})
	}
	_, err = g.rights.Issue(ctx, g.role(t, strings.Replace(trustTasks, `"Action"`, `"Condition":{"Null":{"aws:SourceAccount":"false"}},"Action"`, 1)), tasks)
	require.ErrorContains(t, err, `Condition operator "Null"`)
}

func TestARoleIsAssumedByWhomItTrustsAndDecidesTheCalls(t *testing.T) {
	g := newGuarded(t)
	assume := func(by aws.Config, role string) (aws.Config, error) {
		got, err := sts.NewFromConfig(by).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("site")})
		if err != nil {
			return aws.Config{}, err
		}
		return g.with(*got.Credentials.AccessKeyId, *got.Credentials.SecretAccessKey, *got.Credentials.SessionToken), nil
	}
	denied := func(by aws.Config, role string) {
		t.Helper()
		_, err := assume(by, role)
		refused(t, err, "AccessDenied", role)
	}
	ada, bob := g.secret(t, "dcv-sessions/dev/users/ada"), g.secret(t, "dcv-sessions/dev/users/bob")
	role := g.role(t, trustAdmins, allow("secretsmanager:GetSecretValue", ada))
	assumed, err := assume(g.Config, role)
	require.NoError(t, err)
	client := secretsmanager.NewFromConfig(assumed)
	_, err = client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &ada})
	require.NoError(t, err)
	_, err = client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &bob})
	refused(t, err, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/"+path.Base(role)+"/site is not authorized")

	service := g.role(t, trustTasks)
	denied(g.Config, service)
	denied(g.Config, "arn:aws:iam::123456789012:role/absent")
	denied(assumed, role) // the account is trusted, and its role has no right to assume
	mayAssume := g.role(t, trustTasks, allow("sts:AssumeRole", role))
	_, err = assume(g.as(t, mayAssume), role)
	require.NoError(t, err)
	denied(g.as(t, mayAssume), service)
	named := g.role(t, strings.Replace(trustAdmins, "123456789012", service, 1))
	_, err = assume(g.as(t, service), named)
	require.NoError(t, err, "who is named needs no policy")
	denied(g.Config, named)
	denied(g.as(t, mayAssume), named)
	g.grant(t, service, strings.Replace(allow("sts:*", "*"), "Allow", "Deny", 1))
	denied(g.as(t, service), named)

	denied(g.Config, g.role(t, strings.Replace(trustAdmins, "[", `[{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"},`, 1)))

	_, err = assume(g.Config, g.role(t, strings.Replace(trustAdmins, `"Action"`, `"Condition":{"StringEquals":{"sts:ExternalId":"x"}},"Action"`, 1)))
	refused(t, err, "NotImplemented", "sts:ExternalId")
	_, err = sts.NewFromConfig(g.Config).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s"), Policy: aws.String("{}")})
	refused(t, err, "NotImplemented", "Policy")
}

func TestImagesAreGuardedByTheirRepositories(t *testing.T) {
	g := newGuarded(t)
	client := ecr.NewFromConfig(g.as(t, g.role(t, trustTasks, allow("ecr:Describe*", "arn:aws:ecr:us-east-1:123456789012:repository/dev"))))
	_, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"dev", "prod"}})
	refused(t, err, "AccessDeniedException", "repository/prod")
	_, err = client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"dev"}})
	refused(t, err, "RepositoryNotFoundException", "")
	_, err = client.DescribeRepositories(ctx, nil)
	refused(t, err, "AccessDeniedException", "repository/*")
}
