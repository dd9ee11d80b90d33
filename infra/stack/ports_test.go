package stack_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

// aSession is a job of fakeBatch.
type aSession struct {
	user, queue, status string
	ports               contract.PortRange
}

const (
	ownQueue   = "arn:aws:batch:us-east-1:123456789012:job-queue/queue-1"
	otherQueue = "arn:aws:batch:us-east-1:123456789012:job-queue/queue-2"
)

// fakeBatch is an AWS Batch with a queue of the stack dev, one of another, and
// these jobs.
func fakeBatch(jobs []aSession) *httptest.Server {
	type document = map[string]any
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			JobQueue, JobStatus string
			Jobs                []string
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		listed, described := []document{}, []document{}
		for i, j := range jobs {
			id := strconv.Itoa(i)
			if j.queue == in.JobQueue && j.status == in.JobStatus {
				listed = append(listed, document{"jobId": id, "jobName": j.user})
			}
			if slices.Contains(in.Jobs, id) {
				described = append(described, document{"jobId": id, "tags": contract.JobTags("dev", j.user), "container": document{"environment": []document{
					{"name": contract.EnvPortFirst, "value": strconv.Itoa(j.ports.First)}, {"name": contract.EnvPortLast, "value": strconv.Itoa(j.ports.Last)},
				}}})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]document{
			"/v1/describejobqueues": {"jobQueues": []document{
				{"jobQueueArn": ownQueue, "tags": document{contract.TagStack: "dev"}},
				{"jobQueueArn": otherQueue, "tags": document{contract.TagStack: "prod"}},
			}},
			"/v1/listjobs":     {"jobSummaryList": listed},
			"/v1/describejobs": {"jobs": described},
		}[r.URL.Path])
	}))
}

func TestPortsThatSessionsUseAreNotDropped(t *testing.T) {
	old := contract.PortRange{First: 8443, Last: 8444}
	batch := fakeBatch([]aSession{
		{"carol", ownQueue, "RUNNING", contract.PortRange{First: 7000, Last: 7001}},
		{"bob", ownQueue, "RUNNABLE", old},
		{"alice", ownQueue, "RUNNING", old},
		{"over", ownQueue, "SUCCEEDED", contract.PortRange{First: 6000, Last: 6001}},
		{"stranger", otherQueue, "RUNNING", contract.PortRange{First: 5000, Last: 5001}},
	})
	t.Cleanup(batch.Close)
	at := values{"aws:endpoints": recorded.Endpoints(batch.URL), "session.firstPort": "9443"}
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := deploy(t, mode, "dev", least(at, values{"session.formerPorts": `["8445-8446"]`}))
		require.ErrorContains(t, r.Err, "the stack's configuration has 2 faults:\n"+
			`  - dcv-sessions:session.formerPorts is ["8445-8446"]; allowed: a list with "7000-7001" too, as long as sessions use these ports (now: carol); the present range is 9443-9443`+"\n"+
			`  - dcv-sessions:session.formerPorts is ["8445-8446"]; allowed: a list with "8443-8444" too, as long as sessions use these ports (now: alice, bob); the present range is 9443-9443`)
		assert.Empty(t, r.Resources, "nothing is declared")

		r = deploy(t, mode, "dev", least(at, values{"session.formerPorts": `["7000-7001","8443-8446"]`})).mustRun(t)
		assert.Len(t, r.OfType(ingress), 6, "the former ranges and the present one, TCP and UDP")
	})
}
