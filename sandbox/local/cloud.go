package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// Cloud is one start of the local AWS. It loses all its data when it stops, so each
// start has an id, and the stack's state is kept under that id.
type Cloud struct {
	ID         string    `json:"id"`
	AccessKey  string    `json:"accessKey"` // of the administrator, see newAccessKey
	Ports      Ports     `json:"ports"`
	DockerHost string    `json:"dockerHost"` // a DOCKER_HOST
	Processes  []Process `json:"processes"`

	tree Tree
}

// Account and Region are those of the local AWS. moto serves no other account.
const (
	Account = "123456789012"
	Region  = "us-east-1"
)

// SecretKey belongs to every access key of the local AWS. It is not a secret: the
// gateway checks no signature, so the access key alone admits a caller.
const SecretKey = "sandbox"

// MotoKey is the access key of calls that go directly to moto, which accepts any.
const MotoKey = "sandbox"

// newAccessKey returns the access key of a start's administrator: 128 random bits
// behind a word that no access key of AWS begins with. Its holder may do everything
// in the local AWS, and so run containers on this machine.
func newAccessKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	return "SANDBOX" + strings.ToUpper(hex.EncodeToString(b[:]))
}

// Authorization returns the header of a call that the sandbox itself makes. The
// gateway reads access key, Region and service from it and checks no signature.
func Authorization(accessKey, service string) string {
	return "AWS4-HMAC-SHA256 Credential=" + accessKey + "/20200101/" + Region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=none"
}

// Call makes a call of an AWS service by POST. It returns the response whatever its
// status; the caller closes it.
func Call(ctx context.Context, accessKey, address, service string, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("Authorization", Authorization(accessKey, service))
	return client.Do(req)
}

// Form is the content type of AWS's query protocol.
const Form = "application/x-www-form-urlencoded"

// Endpoint returns the address of the gateway, the only AWS endpoint.
func (c *Cloud) Endpoint() string { return fmt.Sprintf("http://127.0.0.1:%d", c.Ports.Gateway) }

// Registry returns the registry's address, the first part of image names. Docker
// needs no TLS for loopback addresses.
func (c *Cloud) Registry() string { return fmt.Sprintf("127.0.0.1:%d", c.Ports.Registry) }

// Dir returns the folder with the data of this start.
func (c *Cloud) Dir() string { return c.tree.Start(c.ID) }

// Open returns the work tree's last start of the local AWS, or nil if there is none.
func Open(t Tree) (*Cloud, error) {
	b, err := os.ReadFile(t.path("cloud.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &Cloud{tree: t}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("%s: %w", t.path("cloud.json"), err)
	}
	return c, nil
}

// Ensure returns the running cloud or starts a new one. If a part of a cloud has
// ended, its data is lost: Ensure reports that and removes the cloud with its state.
func Ensure(ctx context.Context, t Tree, p Progress) (*Cloud, error) {
	c, err := Open(t)
	if err != nil {
		return nil, err
	}
	if c != nil {
		lost := c.lost(ctx)
		if lost == "" {
			return c, nil
		}
		p.Say("the local AWS of %s is gone (%s): its containers and the stack's state are removed, and a new one is started", c.ID, lost)
		if err := c.Remove(ctx); err != nil {
			return nil, err
		}
	}
	return start(ctx, t, p)
}

func start(ctx context.Context, t Tree, p Progress) (*Cloud, error) {
	ports, err := loadPorts(t)
	if err != nil {
		return nil, err
	}
	c := &Cloud{ID: time.Now().UTC().Format("20060102-150405"), AccessKey: newAccessKey(), Ports: ports, tree: t}
	if err := errors.Join(os.MkdirAll(c.Dir(), 0o700), privateFolder(socketDir(t))); err != nil {
		return nil, err
	}
	for _, s := range services {
		err := p.Step("starting "+s.name, s.why, func() error { return s.start(ctx, c) })
		if err != nil {
			return nil, errors.Join(err, c.Remove(ctx))
		}
	}
	p.Say("local AWS %s at %s, in memory: all its data is lost when it stops, jobs too", c.ID, c.Endpoint())
	return c, nil
}

// run records a started process of the cloud at once, so that after a crash of this
// program the next one still knows it.
func (c *Cloud) run(p Process, err error) (Process, error) {
	if err != nil {
		return p, err
	}
	c.Processes = append(c.Processes, p)
	return p, writeJSON(c.tree.path("cloud.json"), c)
}

// lost returns the reason why the cloud no longer runs, or "" if every part does.
func (c *Cloud) lost(ctx context.Context) string {
	if c.AccessKey == "" {
		return "an earlier version of this program started it, with a key that is public"
	}
	for _, p := range c.Processes {
		if !p.Alive() {
			return p.Name + " has ended"
		}
	}
	health := struct {
		StartID string `json:"startId"`
	}{}
	if err := c.GetJSON(ctx, healthPath, &health); err != nil {
		return err.Error()
	}
	if health.StartID != c.ID {
		return fmt.Sprintf("its gateway's port answers for another start, %q", health.StartID)
	}
	if !dockerAnswers(ctx, c.DockerHost) {
		return "Docker no longer answers at " + c.DockerHost
	}
	return ""
}

// Running reports whether every part of the cloud runs.
func (c *Cloud) Running(ctx context.Context) bool { return c.lost(ctx) == "" }

// Runs reports whether the work tree has a cloud of which every part runs.
func Runs(ctx context.Context, t Tree) bool {
	c, err := Open(t)
	return err == nil && c != nil && c.Running(ctx)
}

// Remove stops the cloud's processes, the last one first, and removes its containers,
// images, data and state. Docker ends last: the gateway can start containers until it
// has ended, and only Docker can remove them.
func (c *Cloud) Remove(ctx context.Context) error {
	var faults []error
	for _, p := range slices.Backward(c.Processes) {
		if p.Name != dockerd {
			faults = append(faults, p.Stop())
		}
	}
	faults = append(faults, c.cleanDocker(ctx))
	for _, p := range c.Processes {
		if p.Name == dockerd {
			faults = append(faults, p.Stop())
		}
	}
	if err := errors.Join(append(faults, endContainers(socketDir(c.tree)))...); err != nil {
		return err // cloud.json stays, so that the next run tries again
	}
	for _, path := range []string{c.Dir(), socketDir(c.tree), c.tree.path("docker"), c.tree.path("cloud.json")} {
		if err := errors.Join(unmountUnder(path), os.RemoveAll(path)); err != nil {
			return err
		}
	}
	return nil
}

// Env returns the environment for programs that call this cloud: the caller's, with
// the cloud's credentials and endpoints, and without the variables that could lead to
// a real account.
func (c *Cloud) Env() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !leadsElsewhere(pair) {
			env = append(env, pair)
		}
	}
	return append(append(env, "PATH="+pathWith(c.tree.Bin())), c.Variables()...)
}

// Variables returns the variables that a tool needs to call this cloud.
func (c *Cloud) Variables() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + c.AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey,
		"AWS_REGION=" + Region, "AWS_DEFAULT_REGION=" + Region,
		"AWS_ENDPOINT_URL=" + c.Endpoint(),
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
		"DOCKER_HOST=" + c.DockerHost,
		"PULUMI_HOME=" + c.tree.PulumiHome(),
		"PULUMI_BACKEND_URL=file://" + c.StateDir(),
		"PULUMI_CONFIG_PASSPHRASE=sandbox", // the stack has no real secrets
		"PULUMI_SKIP_UPDATE_CHECK=true",
	}
}

// StateDir returns the folder of the stacks' state.
func (c *Cloud) StateDir() string { return c.Dir() + "/state" }

// leadsElsewhere reports whether a variable could lead a tool to an AWS, a Pulumi
// backend or a Docker other than the sandbox's.
func leadsElsewhere(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	for _, prefix := range []string{"AWS_", "PULUMI_", "DOCKER_", "PATH"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func pathWith(dir string) string { return dir + string(os.PathListSeparator) + os.Getenv("PATH") }

// healthPath is the gateway's page with the id of its start.
const healthPath = "/_sandbox/health"

// GetJSON reads one of the sandbox's own pages.
func (c *Cloud) GetJSON(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	res, err := c.Request(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// Request requests one of the sandbox's own pages as the administrator. It returns
// the response whatever its status.
func (c *Cloud) Request(ctx context.Context, method, path string) (*http.Response, error) {
	return Request(ctx, c.AccessKey, method, c.Endpoint()+path)
}

// Request requests a page of a server on this machine with an access key. It returns
// the response whatever its status.
func Request(ctx context.Context, accessKey, method, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", Authorization(accessKey, "sandbox"))
	return client.Do(req)
}
