package e2e

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// refuseVisitors attacks the sandbox as a web page, as another user of this machine
// and with the administrator's key.
func (s *sandbox) refuseVisitors(t *testing.T, out outputs.Outputs) {
	cloud := s.cloud(t)
	t.Run("a web page is refused, and so is a key that everybody knows", func(t *testing.T) {
		for name, visitor := range map[string]struct {
			key, host string
			header    http.Header
		}{
			"a page's form":              {cloud.AccessKey, "", http.Header{"Origin": {"https://evil.example"}}},
			"a page's image":             {cloud.AccessKey, "", http.Header{"Sec-Fetch-Site": {"cross-site"}}},
			"a name bound to loopback":   {cloud.AccessKey, fmt.Sprintf("evil.example:%d", cloud.Ports.Gateway), nil},
			"a key that everybody knows": {"sandbox", "", nil},
			"no key":                     {"", "", nil},
		} {
			for _, page := range []string{gateway.HealthPath, "/_sandbox/hosts", "/?Action=ListRoles&Version=2010-05-08&X-Amz-Credential=" + visitor.key + "/20260101/us-east-1/iam/aws4_request"} {
				req, err := http.NewRequest(http.MethodPost, cloud.Endpoint()+page, nil)
				require.NoError(t, err)
				req.Host = visitor.host
				if visitor.header != nil {
					req.Header = visitor.header
				}
				req.Header.Set("Authorization", local.Authorization(visitor.key, "iam"))
				assert.Equal(t, http.StatusForbidden, status(t, req), "%s: %s", name, page)
			}
		}
	})
	t.Run("a web page does not get a host's or the builder's credentials", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodPut, cloud.Endpoint()+"/latest/api/token", nil)
		require.NoError(t, err)
		req.Host = fmt.Sprintf("evil.example:%d", cloud.Ports.Gateway)
		assert.Equal(t, http.StatusForbidden, status(t, req))
	})
	t.Run("what holds the key is this user's alone", func(t *testing.T) {
		folder, err := os.Stat(s.tree.State)
		require.NoError(t, err)
		assert.Equal(t, fs.ModeDir|0o700, folder.Mode())
		for _, file := range []string{filepath.Join(s.tree.State, "cloud.json"), cloud.ConfigFile("infra", s.stack)} {
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode(), file)
		}
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, line := range lines {
			text, err := os.ReadFile(line)
			if err == nil { // it may have ended
				assert.NotContains(t, string(text), cloud.AccessKey, line)
			}
		}
	})
	t.Run("moto listens on no port", func(t *testing.T) {
		for _, p := range cloud.Processes {
			if p.Name == "moto" {
				assert.Empty(t, listening(t, p.PID))
			}
		}
	})
	t.Run("a privileged job is refused by name", func(t *testing.T) { s.aws(t).refusePrivileged(t, out) })
	t.Run("no machine is started that the configuration does not ask for", func(t *testing.T) {
		_, err := s.aws(t).ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: []string{out.BuilderInstanceID}})
		assert.ErrorContains(t, err, "dcv-sessions:image.buildOn: builder")
	})
}

// refusePrivileged submits a copy of a session's definition that is privileged.
func (c cloudClients) refusePrivileged(t *testing.T, out outputs.Outputs) {
	t.Helper()
	made, err := c.batch.RegisterJobDefinition(t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("root"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: &out.ImageURI, Privileged: aws.Bool(true), Command: []string{"id"},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}},
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := c.batch.DeregisterJobDefinition(context.Background(), &batch.DeregisterJobDefinitionInput{JobDefinition: made.JobDefinitionArn})
		assert.NoError(t, err)
	})
	_, err = c.batch.SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("root"), JobQueue: &out.QueueARN, JobDefinition: made.JobDefinitionArn})
	require.ErrorContains(t, err, "containerProperties.privileged is true")
	assert.ErrorContains(t, err, "dcv-sessions:session.privileged: true")
}

func status(t *testing.T, req *http.Request) int {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// listening returns the local addresses at which a process listens over TCP, as
// the kernel writes them (proc_pid_net(5), proc_pid_fd(5)).
func listening(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	const listens = "0A" // TCP_LISTEN
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	require.NotEmpty(t, links)
	own := map[string]bool{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			own[to] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", table))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if row := strings.Fields(line); len(row) > 9 && row[3] == listens && own["socket:["+row[9]+"]"] {
				addresses = append(addresses, row[1])
			}
		}
	}
	return addresses
}
