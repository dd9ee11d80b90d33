package gateway

import (
	"maps"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/stretchr/testify/require"
)

const batchARN = "arn:aws:batch:us-east-1:123456789012:"

// launcher returns a client with the launcher policy of the stack dev, which the
// tests of components/roles hold.
func (g guarded) launcher(t *testing.T) *batch.Client {
	t.Helper()
	text, err := os.ReadFile("../../components/roles/testdata/launcher.json")
	require.NoError(t, err)
	role := g.role(t, trustTasks)
	g.query(t, "iam", "2010-05-08", "PutRolePolicy", "RoleName", path.Base(role), "PolicyName", "launcher", "PolicyDocument", string(text))
	return batch.NewFromConfig(g.as(t, role))
}

func TestALauncherSubmitsToItsOwnQueueUnderItsOwnTag(t *testing.T) {
	g := newGuarded(t)
	client := g.launcher(t)
	const queue, definition = batchARN + "job-queue/queue-1", "dcv-sessions_dev_ada"
	dev := map[string]string{"dcv-sessions:project": "dcv-sessions", stackTag: "dev", "dcv-sessions:user": "ada"}
	with := func(key, value string) map[string]string {
		tags := maps.Clone(dev)
		tags[key] = value
		return tags
	}
	for name, c := range map[string]struct {
		queue, definition string
		tags              map[string]string
		denied            string // the resource that is denied; "" for none
	}{
		"names":              {"queue-1", definition, dev, ""},
		"revision":           {"queue-1", definition + ":3", dev, ""},
		"ARNs":               {queue, batchARN + "job-definition/" + definition + ":3", dev, ""},
		"no tags":            {"queue-1", definition, nil, ""},
		"another queue":      {"queue-2", definition, dev, "batch:SubmitJob on resource: " + batchARN + "job-queue/queue-2"},
		"another definition": {"queue-1", "dcv-sessions_prod_ada:1", dev, "batch:SubmitJob on resource: " + batchARN + "job-definition/dcv-sessions_prod_ada:1"},
		"another Region":     {strings.Replace(queue, "us-east-1", "eu-west-1", 1), definition, dev, "eu-west-1"},
		"another tag":        {"queue-1", definition, with(stackTag, "prod"), "batch:TagResource on resource: " + queue},
		"tags without it":    {"queue-1", definition, map[string]string{"dcv-sessions:user": "ada"}, "batch:TagResource on resource: " + queue},
		"a further tag":      {"queue-1", definition, with("team", "admins"), "batch:TagResource on resource: " + queue},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("n"), JobQueue: &c.queue, JobDefinition: &c.definition, Tags: c.tags})
			if c.denied == "" {
				require.NoError(t, err)
			} else {
				refused(t, err, "AccessDeniedException", c.denied)
			}
		})
	}
	_, err := client.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{"1"}})
	require.NoError(t, err)
	_, err = client.ListJobs(ctx, &batch.ListJobsInput{JobQueue: aws.String("queue-1")})
	require.NoError(t, err)
	_, err = client.DescribeJobQueues(ctx, nil)
	refused(t, err, "AccessDeniedException", "batch:DescribeJobQueues on resource: *")
	_, err = client.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: aws.String(definition + ":1")})
	refused(t, err, "AccessDeniedException", "batch:deregisterjobdefinition")
}

// A submission with tags needs the right to tag the queue and the definition, not the
// job: see components/roles, launch.
func TestASubmissionWithTagsNeedsTheRightToTagQueueAndDefinition(t *testing.T) {
	g := newGuarded(t)
	const queue, definition = batchARN + "job-queue/q", batchARN + "job-definition/d:1"
	submit := allow("batch:SubmitJob", "*")
	for name, c := range map[string]struct {
		tags   []string // statements
		denied string   // of which resource; "" for nothing
	}{
		"both":           {[]string{allow("batch:TagResource", queue), allow("batch:TagResource", definition)}, ""},
		"the queue only": {[]string{allow("batch:TagResource", queue)}, definition},
		"jobs only":      {[]string{allow("batch:TagResource", batchARN+"job/*")}, queue},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := batch.NewFromConfig(g.as(t, g.role(t, trustTasks, append(c.tags, submit)...))).SubmitJob(ctx, &batch.SubmitJobInput{
				JobName: aws.String("n"), JobQueue: aws.String("q"), JobDefinition: aws.String("d:1"), Tags: map[string]string{"a": "b"}})
			if c.denied == "" {
				require.NoError(t, err)
			} else {
				refused(t, err, "AccessDeniedException", "batch:TagResource on resource: "+c.denied)
			}
		})
	}
}

// jobTags sets the tags of the account's jobs, by id.
func (g guarded) jobTags(jobs map[string]map[string]string) {
	g.rights.JobTags = func(id string) map[string]string { return jobs[id] }
}

func TestALauncherEndsNoForeignJobByTaggingItFirst(t *testing.T) {
	g := newGuarded(t)
	client := g.launcher(t)
	g.jobTags(map[string]map[string]string{"mine": {stackTag: "dev"}, "other": {stackTag: "prod"}, "untagged": nil, "foreign": {"team": "science"}})
	tag := func(id string, tags map[string]string) error {
		_, err := client.TagResource(ctx, &batch.TagResourceInput{ResourceArn: aws.String(batchARN + "job/" + id), Tags: tags})
		return err
	}
	end := func(id string) error {
		_, err := client.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("r")})
		return err
	}
	own := map[string]string{stackTag: "dev"}
	for _, id := range []string{"other", "untagged", "foreign", "absent"} {
		refused(t, tag(id, own), "AccessDeniedException", "batch:TagResource on resource: "+batchARN+"job/"+id)
		refused(t, end(id), "AccessDeniedException", "batch:TerminateJob on resource: "+batchARN+"job/"+id)
	}
	require.NoError(t, end("mine"))

	require.NoError(t, tag("mine", own), "by which a session sees that this launcher may end it")
	for _, tags := range []map[string]string{
		{stackTag: "prod"}, {stackTag: "dev", "dcv-sessions:user": "bob"}, {"dcv-sessions:user": "bob"}, {stackTag: "dev", "team": "admins"},
	} {
		refused(t, tag("mine", tags), "AccessDeniedException", "batch:TagResource")
	}
	_, err := client.UntagResource(ctx, &batch.UntagResourceInput{ResourceArn: aws.String(batchARN + "job/mine"), TagKeys: []string{stackTag}})
	refused(t, err, "AccessDeniedException", "batch:UntagResource")
}

// Every principal with read access only is refused the calls by which a session
// proves its launcher.
func TestAReadOnlyRoleProvesNothingToASession(t *testing.T) {
	g := newGuarded(t)
	g.jobTags(map[string]map[string]string{"mine": {stackTag: "dev"}})
	client := batch.NewFromConfig(g.as(t, g.role(t, trustTasks,
		allow("batch:Describe*", "*"), allow("batch:Get*", "*"), allow("batch:List*", "*"), allow("logs:*", "*"))))
	_, err := client.TagResource(ctx, &batch.TagResourceInput{ResourceArn: aws.String(batchARN + "job/mine"), Tags: map[string]string{stackTag: "dev"}})
	refused(t, err, "AccessDeniedException", "batch:TagResource")
}
