package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// operation has the needs of some operations. about returns them; without an action
// they need the operation itself.
type operation struct {
	service string // as in Call
	names   []string
	about   func(*Rights, *Call) ([]need, error)
}

// operations are those with needs that the sandbox knows (Service Authorization
// Reference, "Actions defined by" each service).
var operations = []operation{
	{"batch", []string{"SubmitJob"}, submission},
	{"batch", []string{"CancelJob", "TerminateJob"}, job},
	{"batch", []string{"DescribeJobs", "ListJobs", "DescribeJobQueues", "DescribeJobDefinitions", "DescribeComputeEnvironments"}, nothing},
	{"batch", []string{"ListTagsForResource", "TagResource", "UntagResource"}, tagged},
	{"ec2", []string{"RunInstances"}, launch},
	{"ec2", []string{"CreateTags", "DeleteTags"}, retagged},
	{"ec2", []string{"DescribeInstanceAttribute", "ModifyInstanceAttribute", "StartInstances", "StopInstances", "TerminateInstances"}, instances},
	{"ecr", []string{"GetAuthorizationToken"}, nothing},
	{"ecr", []string{
		"BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "DescribeImages", "DescribeRepositories",
		"GetDownloadUrlForLayer", "InitiateLayerUpload", "PutImage", "UploadLayerPart",
	}, repositories},
	{"ecs", []string{"RegisterContainerInstance", "SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange"}, cluster},
	{"ecs", []string{"DiscoverPollEndpoint"}, nothing},
	{"iam", []string{"CreateRole", "PutRolePermissionsBoundary"}, boundedRole},
	{"iam", []string{
		"AttachRolePolicy", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy", "DetachRolePolicy", "GetRole", "GetRolePolicy",
		"ListAttachedRolePolicies", "ListRolePolicies", "PutRolePolicy", "TagRole", "UntagRole", "UpdateAssumeRolePolicy", "UpdateRole",
		"UpdateRoleDescription",
	}, existingRole},
	{"iam", []string{
		"CreatePolicy", "CreatePolicyVersion", "DeletePolicy", "DeletePolicyVersion", "GetPolicy", "GetPolicyVersion", "ListPolicyVersions",
		"SetDefaultPolicyVersion", "TagPolicy", "UntagPolicy",
	}, managedPolicy},
	{"logs", []string{"CreateLogStream", "GetLogEvents", "PutLogEvents"}, logStream},
	{"logs", []string{"CreateLogGroup", "DeleteMetricFilter", "DescribeLogGroups", "DescribeLogStreams", "DescribeMetricFilters", "FilterLogEvents", "PutMetricFilter"}, logGroup},
	{"logs", []string{"StartQuery"}, queried},
	{"logs", []string{"GetQueryResults"}, nothing},
	{"monitoring", []string{"DeleteAlarms", "DescribeAlarms", "PutMetricAlarm", "SetAlarmState"}, alarm},
	{"monitoring", []string{"DeleteDashboards", "GetDashboard", "PutDashboard"}, dashboard},
	{"monitoring", []string{"GetMetricWidgetImage", "ListDashboards"}, nothing},
	{"secretsmanager", []string{"DescribeSecret", "GetSecretValue", "PutSecretValue"}, secret},
	{"sns", []string{"Publish"}, topic},
	{"ssm", []string{"SendCommand"}, command},
	{"ssm", []string{"StartSession"}, opening},
	{"ssm", []string{"ResumeSession", "TerminateSession"}, opened},
	{"ssm", []string{"DescribeInstanceInformation", "GetCommandInvocation"}, nothing},
}

// iamPrefix is the prefix of a service's actions, by the service's name in a scope,
// if they differ.
var iamPrefix = map[string]string{"email": "ses", "monitoring": "cloudwatch", "tagging": "tag"}

// needs returns everything that a call has to be allowed.
func (r *Rights) needs(c *Call) ([]need, error) {
	if c.Service == "s3" {
		return []need{s3Need(c.Request)}, nil
	}
	prefix := cmp.Or(iamPrefix[c.Service], c.Service) + ":"
	for _, o := range operations {
		i := slices.IndexFunc(o.names, func(name string) bool { return calls(c, o.service, name) })
		if i < 0 {
			continue
		}
		needs, err := o.about(r, c)
		for n := range needs {
			needs[n].action = cmp.Or(needs[n].action, prefix+o.names[i])
		}
		return needs, err
	}
	return []need{{action: prefix + c.Operation, nameless: slices.Contains(methods, c.Operation)}}, nil
}

// methods are the names of operations for which a REST path has no name.
var methods = []string{"", http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut}

// nothing returns the needs of actions that have no resource types.
func nothing(*Rights, *Call) ([]need, error) { return []need{{resource: "*"}}, nil }

func arnOf(c *Call, service, resource string) string {
	return "arn:aws:" + service + ":" + c.Region + ":" + local.Account + ":" + resource
}

// named returns the ARN of a resource that a call names by its name or its ARN.
func named(c *Call, service, kind, given string) string {
	if strings.HasPrefix(given, "arn:") {
		return given
	}
	return arnOf(c, service, kind+given)
}

// fields is a call's body. Its names are case-sensitive, as in AWS.
type fields map[string]any

func fieldsOf(c *Call) (fields, error) {
	in := fields{}
	return in, c.JSON(&in)
}

func (f fields) text(name string) string {
	text, _ := f[name].(string)
	return text
}

func (f fields) tags() map[string]string {
	tags := map[string]string{}
	sent, _ := f["tags"].(map[string]any)
	for key, value := range sent {
		tags[key], _ = value.(string)
	}
	return tags
}

func submission(_ *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	tags := in.tags()
	needs := []need{
		{resource: named(c, "batch", "job-queue/", in.text("jobQueue")), requestTags: tags},
		{resource: named(c, "batch", "job-definition/", in.text("jobDefinition")), requestTags: tags},
		{resource: arnOf(c, "batch", "job/*"), requestTags: tags},
	}
	if len(tags) > 0 {
		// SubmitJob tags the queue and the definition, not the job: see
		// components/roles, launch.
		for _, names := range needs[:2] {
			needs = append(needs, need{action: "batch:TagResource", resource: names.resource, requestTags: tags})
		}
	}
	return needs, nil
}

func job(r *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	id := in.text("jobId")
	return []need{{resource: arnOf(c, "batch", "job/"+id), resourceTags: r.jobTags(id)}}, err
}

func (r *Rights) jobTags(id string) map[string]string {
	tags := map[string]string{}
	if r.JobTags != nil {
		for key, value := range r.JobTags(id) {
			tags[key] = value
		}
	}
	return tags
}

// tagged returns the needs of Batch's operations on tags, with the ARN in their path.
func tagged(r *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	n := need{resource: strings.TrimPrefix(c.Request.URL.Path, "/v1/tags/"), requestTags: in.tags()}
	if _, id, isJob := strings.Cut(n.resource, ":job/"); isJob {
		n.resourceTags = r.jobTags(id)
	}
	return []need{n}, err
}

func repositories(_ *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	var names []string
	list, _ := in["repositoryNames"].([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	if len(names) == 0 {
		names = []string{cmp.Or(in.text("repositoryName"), "*")}
	}
	var needs []need
	for _, name := range names {
		needs = append(needs, need{resource: arnOf(c, "ecr", "repository/"+name)})
	}
	return needs, err
}

// cluster returns the needs of a container instance's call: its cluster.
func cluster(_ *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	return []need{{resource: named(c, "ecs", "cluster/", cmp.Or(in.text("cluster"), "default"))}}, err
}

// logGroup returns a log group's ARN as a stream's without the name, which "GROUP:*"
// matches.
func logGroup(_ *Rights, c *Call) ([]need, error) { return logNeed(c, "") }

func logStream(_ *Rights, c *Call) ([]need, error) { return logNeed(c, "logStreamName") }

func logNeed(c *Call, stream string) ([]need, error) {
	in, err := fieldsOf(c)
	group := strings.TrimSuffix(cmp.Or(in.text("logGroupName"), in.text("logGroupIdentifier")), ":*")
	return []need{{resource: named(c, "logs", "log-group:", group) + ":log-stream:" + in.text(stream)}}, err
}

// secret gets the whole ARN from moto: it ends in six characters of AWS's.
func secret(_ *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	var found struct{ ARN string }
	err = c.Ask("DescribeSecret", map[string]string{"SecretId": in.text("SecretId")}, &found)
	var refused *refusal
	if errors.As(err, &refused) { // there is none
		found.ARN, err = named(c, "secretsmanager", "secret:", in.text("SecretId")), refused.res.Body.Close()
	}
	return []need{{resource: found.ARN}}, err
}

// topic returns "*" for a text message to a telephone.
func topic(_ *Rights, c *Call) ([]need, error) {
	in, err := form(c)
	return []need{{resource: cmp.Or(in.Get("TopicArn"), in.Get("TargetArn"), "*")}}, err
}

// s3Row identifies calls of S3 by their method, by whether they are about an object,
// and by the one query parameter that names a part or a version.
type s3Row struct {
	method   string
	object   bool
	part     string   // "" for none
	harmless []string // query parameters that do not change the needs
	action   string
}

var (
	s3Page   = []string{"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "marker", "encoding-type", "fetch-owner"}
	s3Answer = []string{"partNumber", "response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires"}
	s3Rows = []s3Row{
		{http.MethodGet, true, "", s3Answer, "s3:GetObject"},
		{http.MethodHead, true, "", s3Answer, "s3:GetObject"},
		{http.MethodGet, true, "versionId", s3Answer, "s3:GetObjectVersion"},
		{http.MethodHead, true, "versionId", s3Answer, "s3:GetObjectVersion"},
		{http.MethodPut, true, "", nil, "s3:PutObject"},
		{http.MethodGet, false, "", s3Page, "s3:ListBucket"},
		{http.MethodHead, false, "", nil, "s3:ListBucket"},
	}
	// s3Further are headers with which writing an object needs further rights.
	s3Further = []string{"X-Amz-Acl", "X-Amz-Copy-Source", "X-Amz-Grant-", "X-Amz-Object-Lock-", "X-Amz-Tagging"}
)

// s3Need returns a nameless need for a call that is not in the table: S3's operations
// and actions have different names.
func s3Need(r *http.Request) need {
	bucket, key := s3Bucket(r)
	for _, row := range s3Rows {
		if bucket != "" && row.matches(r, key != "") {
			resource := "arn:aws:s3:::" + bucket
			if key != "" {
				resource += "/" + key
			}
			return need{action: row.action, resource: resource}
		}
	}
	return need{action: "s3:" + r.Method, nameless: true}
}

func (row s3Row) matches(r *http.Request, object bool) bool {
	var parts []string
	for name := range r.URL.Query() {
		if name != "x-id" && !strings.HasPrefix(name, "X-Amz-") && !slices.Contains(row.harmless, name) {
			parts = append(parts, name)
		}
	}
	for header := range r.Header {
		if slices.ContainsFunc(s3Further, func(further string) bool { return strings.HasPrefix(header, further) }) {
			return false
		}
	}
	return row.method == r.Method && row.object == object && strings.Join(parts, "&") == row.part
}
