package ecs_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// cloud answers the agent's calls to AWS, and records the caller.
type cloud struct {
	url string

	mu      sync.Mutex
	changed chan struct{} // closed at each change, and made anew
	calls   []call
	answers map[string]answer   // by operation, if not the usual one
	secrets map[string]string   // by ARN
	streams map[string][]string // lines
	issued  map[string]int      // credentials by role
	life    time.Duration       // of credentials
	refused []string            // roles that can't be assumed
}

type call struct{ operation, key, body string }

// answer replaces the usual one as long as it holds.
type answer struct {
	times   int // 0: always
	status  int
	code    string
	message string
	hold    <-chan struct{} // the answer waits for it
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{
		changed: make(chan struct{}), answers: map[string]answer{}, secrets: map[string]string{},
		streams: map[string][]string{}, issued: map[string]int{}, life: time.Hour,
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// Issue names the role, the service and how many came before in the key.
func (c *cloud) Issue(_ context.Context, role, service string) (gateway.Credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.refused, role) {
		return gateway.Credentials{}, &gateway.Fault{Status: http.StatusForbidden, Code: "AccessDenied", Message: "not trusted"}
	}
	c.issued[role]++
	key := fmt.Sprintf("%s-by-%s-%d", path.Base(role), strings.Split(service, ".")[0], c.issued[role])
	return gateway.Credentials{AccessKeyID: key, SecretAccessKey: "secret-" + key, SessionToken: "token-" + key, Expiration: time.Now().Add(c.life), RoleARN: role}, nil
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, operation, targeted := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !targeted {
		operation = "GetInstanceProfile" // the only one of a service with forms
	}
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	special, is := c.note(call{operation, key, string(body)})
	if special.hold != nil {
		select {
		case <-special.hold:
		case <-r.Context().Done():
		}
	}
	if is && special.code != "" {
		refuse(w, special.status, special.code, special.message)
		return
	}
	usual := map[string]func(http.ResponseWriter, []byte){
		"GetSecretValue": c.getSecret, "CreateLogStream": c.createStream, "PutLogEvents": c.put,
		"GetAuthorizationToken": c.login, "BatchGetImage": c.getImage, "GetInstanceProfile": c.profile,
	}
	usual[operation](w, body)
}

// note remembers a call and returns the special answer to it.
func (c *cloud) note(made call) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, made)
	c.change()
	special, is := c.answers[made.operation]
	switch special.times {
	case 0:
	case 1:
		delete(c.answers, made.operation)
	default:
		special.times--
		c.answers[made.operation] = special
	}
	return special, is
}

func (c *cloud) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits for something to become true of the cloud.
func (c *cloud) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		c.mu.Lock()
		over, changed := holds(), c.changed
		c.mu.Unlock()
		if over {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("after half a minute not so: %s", what)
		}
	}
}

// keys are those that an operation was called with, in order.
func (c *cloud) keys(operation string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []string
	for _, made := range c.calls {
		if made.operation == operation {
			keys = append(keys, made.key)
		}
	}
	return keys
}

func (c *cloud) lines(stream string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.streams[stream])
}

func (c *cloud) getSecret(w http.ResponseWriter, body []byte) {
	var in struct {
		SecretID string `json:"SecretId"`
	}
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	value, there := c.secrets[in.SecretID]
	c.mu.Unlock()
	if !there {
		refuse(w, http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	reply(w, map[string]string{"ARN": in.SecretID, "SecretString": value})
}

type logInput struct {
	Group  string `json:"logGroupName"`
	Stream string `json:"logStreamName"`
	Events []struct {
		Message string `json:"message"`
	} `json:"logEvents"`
}

func (c *cloud) createStream(w http.ResponseWriter, body []byte) {
	var in logInput
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	if in.Group != "/aws/batch/job" {
		refuse(w, http.StatusBadRequest, "ResourceNotFoundException", "The specified log group does not exist.")
		return
	}
	c.streams[in.Stream] = []string{}
	reply(w, map[string]string{})
}

func (c *cloud) put(w http.ResponseWriter, body []byte) {
	var in logInput
	_ = json.Unmarshal(body, &in)
	size := 0
	for _, e := range in.Events {
		size += len(e.Message) + 26
		if len(e.Message) > 256<<10-26 || e.Message == "" {
			refuse(w, http.StatusBadRequest, "InvalidParameterException", "a line's length")
			return
		}
	}
	if len(in.Events) > 10_000 || size > 1<<20 {
		refuse(w, http.StatusBadRequest, "InvalidParameterException", "the batch is too large")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range in.Events {
		c.streams[in.Stream] = append(c.streams[in.Stream], e.Message)
	}
	c.change()
	reply(w, map[string]string{})
}

func (c *cloud) login(w http.ResponseWriter, _ []byte) {
	token := base64.StdEncoding.EncodeToString([]byte(account.Username + ":" + account.Password))
	reply(w, map[string]any{"authorizationData": []map[string]any{{"authorizationToken": token}}})
}

func (c *cloud) getImage(w http.ResponseWriter, body []byte) {
	var in struct {
		Name string              `json:"repositoryName"`
		IDs  []map[string]string `json:"imageIds"`
	}
	_ = json.Unmarshal(body, &in)
	if in.Name != "there" {
		reply(w, map[string]any{"images": []any{}, "failures": []map[string]any{{"imageId": in.IDs[0], "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}}})
		return
	}
	reply(w, map[string]any{"images": []map[string]any{{"repositoryName": in.Name, "imageId": in.IDs[0], "imageManifest": "{}"}}})
}

func (c *cloud) profile(w http.ResponseWriter, _ []byte) {
	fmt.Fprintf(w, `<GetInstanceProfileResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetInstanceProfileResult><InstanceProfile>
<InstanceProfileName>hosts</InstanceProfileName><Roles><member><RoleName>host</RoleName><Arn>%s</Arn></member></Roles>
</InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>`, roleARN("host"))
}

func reply(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(document)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(cmp.Or(status, http.StatusBadRequest))
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

func roleARN(name string) string { return "arn:aws:iam::123456789012:role/" + name }

func secretARN(name string) string {
	return "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name + "-AbCdEf"
}
