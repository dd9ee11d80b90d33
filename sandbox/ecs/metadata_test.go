package ecs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// ask calls a host's service, with an optional header's name and value.
func (w *world) ask(method, url string, header ...string) (int, string) {
	w.Helper()
	r, err := http.NewRequest(method, url, http.NoBody)
	require.NoError(w, err)
	if len(header) > 0 {
		r.Header.Set(header[0], header[1])
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(w, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(w, err)
	return res.StatusCode, string(text)
}

const (
	lifeHeader  = "X-aws-ec2-metadata-token-ttl-seconds"
	tokenHeader = "X-aws-ec2-metadata-token"
)

func (s *onDocker) TestMetadataTellsOfTheHostToWhoHasAToken() {
	w := s.world()
	at := w.serving(task("serve", "0"))["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
	own, err := url.Parse(at)
	require.NoError(w, err)
	_, token := w.ask(http.MethodPut, at+"/latest/api/token", lifeHeader, "60")
	for name, value := range map[string]string{
		"local-ipv4": own.Hostname(), "public-ipv4": own.Hostname(), "instance-id": "i-1", "instance-type": "g4dn.xlarge",
		"placement/region": "us-east-1", "placement/availability-zone": "us-east-1a", "iam/security-credentials/": "host",
	} {
		status, text := w.ask(http.MethodGet, at+"/latest/meta-data/"+name, tokenHeader, token)
		assert.Equal(w, http.StatusOK, status, name)
		assert.Equal(w, value, text, name)
	}
	for name, want := range map[string]int{"hostname": http.StatusNotFound, "iam/security-credentials/other": http.StatusNotFound} {
		status, _ := w.ask(http.MethodGet, at+"/latest/meta-data/"+name, tokenHeader, token)
		assert.Equal(w, want, status, name)
	}
}

func (s *onDocker) TestIMDSv1IsRefused() {
	w := s.world()
	at := w.serving(task("serve", "0"))["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
	for _, header := range [][]string{nil, {tokenHeader, "guessed"}} {
		status, _ := w.ask(http.MethodGet, at+"/latest/meta-data/local-ipv4", header...)
		assert.Equal(w, http.StatusUnauthorized, status)
	}
}

func (s *onDocker) TestATokenNeedsALifeAndEndsWithIt() {
	w := s.world()
	at := w.serving(task("serve", "0"))["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
	for _, header := range [][]string{nil, {lifeHeader, "0"}, {lifeHeader, "21601"}, {lifeHeader, "long"}} {
		status, _ := w.ask(http.MethodPut, at+"/latest/api/token", header...)
		assert.Equal(w, http.StatusBadRequest, status, header)
	}
	_, token := w.ask(http.MethodPut, at+"/latest/api/token", lifeHeader, "1")
	assert.Eventually(w, func() bool {
		status, _ := w.ask(http.MethodGet, at+"/latest/meta-data/local-ipv4", tokenHeader, token)
		return status == http.StatusUnauthorized
	}, 5*time.Second, 200*time.Millisecond)
}

type givenCredentials struct {
	Code, Type, RoleArn, AccessKeyID, SecretAccessKey, Token string
	Expiration                                               time.Time
}

func (w *world) credentials(url string, header ...string) givenCredentials {
	w.Helper()
	status, text := w.ask(http.MethodGet, url, header...)
	require.Equal(w, http.StatusOK, status, text)
	var given givenCredentials
	require.NoError(w, json.Unmarshal([]byte(text), &given))
	return given
}

func (s *onDocker) TestTheHostsRoleIsOpenToRootAndNotToPlayers() {
	w := s.world()
	at := w.serving(task("serve", "0"))["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
	if !strings.Contains(w.log.String(), "players reach its metadata") { // a machine without a packet filter
		asPlayer := exec.Command("timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+strings.Replace(strings.TrimPrefix(at, "http://"), ":", "/", 1))
		asPlayer.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: contract.FirstPlayerUID, Gid: contract.FirstPlayerUID}}
		out, err := asPlayer.CombinedOutput()
		require.Error(w, err, at)
		assert.Contains(w, string(out), "refused")
	}
	_, token := w.ask(http.MethodPut, at+"/latest/api/token", lifeHeader, "60")
	given := w.credentials(at+"/latest/meta-data/iam/security-credentials/host", tokenHeader, token)
	assert.Equal(w, "Success", given.Code)
	assert.Equal(w, "AWS-HMAC", given.Type)
	assert.Regexp(w, "^host-by-ec2-", given.AccessKeyID)
	assert.Equal(w, "token-"+given.AccessKeyID, given.Token)
}

func (s *onDocker) TestATaskGetsItsOwnRolesCredentialsWhileItLives() {
	w := s.world()
	t := task("serve", "0")
	t.Container.JobRoleARN = roleARN("session")
	at := w.serving(t)["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
	given := w.credentials(at)
	assert.Regexp(w, "^session-by-ecs-tasks-", given.AccessKeyID)
	assert.Equal(w, "secret-"+given.AccessKeyID, given.SecretAccessKey)
	assert.Equal(w, roleARN("session"), given.RoleArn)
	assert.WithinDuration(w, time.Now().Add(time.Hour), given.Expiration, time.Minute)
	status, _ := w.ask(http.MethodGet, at[:len(at)-1]+"x")
	assert.Equal(w, http.StatusNotFound, status)
	w.agent.Stop(t.ID)
	w.ended()
	status, _ = w.ask(http.MethodGet, at)
	assert.Equal(w, http.StatusNotFound, status)
}

func (s *onDocker) TestCredentialsAreRenewedBeforeTheyExpire() {
	w := s.world()
	w.life = time.Minute
	t := task("serve", "0")
	t.Container.JobRoleARN = roleARN("session")
	at := w.serving(t)["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
	first := w.credentials(at)
	assert.NotEqual(w, first.AccessKeyID, w.credentials(at).AccessKeyID, "SDKs ask minutes before the end, and would be given the same again")
}

func (s *onDocker) TestTwoHostsHaveTwoAddresses() {
	w := s.world()
	w.host("i-2", 0)
	address := func(host string) string {
		t := task("serve", "0")
		t.HostID = host
		at, err := url.Parse(w.serving(t)["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
		require.NoError(w, err)
		return at.Hostname()
	}
	first, second := address("i-1"), address("i-2")
	assert.NotEqual(w, first, second)
	assert.NotContains(w, []string{first, second}, "127.0.0.1")
}

func (s *onDocker) TestATaskLearnsOfItself() {
	w := s.world()
	t := task("serve", "0")
	at := w.serving(t)["ECS_CONTAINER_METADATA_URI_V4"]
	status, text := w.ask(http.MethodGet, at)
	assert.Equal(w, http.StatusOK, status)
	var own struct {
		Name, KnownStatus    string
		CreatedAt, StartedAt time.Time
	}
	require.NoError(w, json.Unmarshal([]byte(text), &own))
	assert.Equal(w, "default", own.Name)
	assert.Equal(w, "RUNNING", own.KnownStatus)
	assert.WithinDuration(w, time.Now(), own.CreatedAt, time.Minute)
	assert.False(w, own.StartedAt.Before(own.CreatedAt), "a container starts after its creation")
	_, text = w.ask(http.MethodGet, at+"/task")
	var about struct {
		TaskARN, Cluster, Family, KnownStatus string
		Containers                            []struct{ Name string }
	}
	require.NoError(w, json.Unmarshal([]byte(text), &about))
	assert.Equal(w, t.ARN, about.TaskARN)
	assert.Equal(w, "definition", about.Family)
	assert.Equal(w, "pool_Batch", about.Cluster)
	assert.Equal(w, "RUNNING", about.KnownStatus)
	require.Len(w, about.Containers, 1)
	assert.Equal(w, "default", about.Containers[0].Name)
}
