package ecs

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// hostService assumes the roles of instances.
const hostService = "ec2.amazonaws.com"

// credentialsPath begins the path of a task's credentials; the rest is a name that
// cannot be guessed.
const credentialsPath = "/v2/credentials/"

// agentPort is the ECS agent's own on every host, which no session may take
// (README of aws/amazon-ecs-agent). Listening on it reserves an address for this
// host, even if several sandboxes run on one machine.
const agentPort = 51678

// host is a simulated instance: an address on loopback with its metadata.
type host struct {
	batch.Host
	agent   *Agent
	address netip.Addr
	url     string
	server  *http.Server
	roles   *roleCache
	tokens  tokens

	role struct {
		sync.Mutex
		arn string
	}

	guarded bool // players are kept from its credentials

	guard struct { // of its address
		sync.Mutex
		on, over bool // its security groups decide; the host has left
	}
}

// StartHost gives a host its address.
func (a *Agent) StartHost(of batch.Host) error {
	listener, err := freeAddress()
	if err != nil {
		return err
	}
	at := listener.Addr().(*net.TCPAddr).AddrPort()
	h := &host{Host: of, agent: a, address: at.Addr(), url: "http://" + at.String(), roles: newRoleCache(a.config.Roles), tokens: tokens{ends: map[string]time.Time{}}}
	h.server = &http.Server{Handler: local.RefusePages(h.pages()), ReadHeaderTimeout: 10 * time.Second, ErrorLog: a.log}
	a.mu.Lock()
	a.hosts[h.ID] = h
	a.mu.Unlock()
	a.guardHost(h)
	a.protect(h)
	go func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Printf("host %s: %v", h.ID, err)
		}
	}()
	return nil
}

// freeAddress listens on the first free address from 127.1.0.1 on.
func freeAddress() (net.Listener, error) {
	at := netip.AddrFrom4([4]byte{127, 1, 0, 1})
	for range 1 << 14 {
		if listener, err := net.Listen("tcp", netip.AddrPortFrom(at, agentPort).String()); err == nil {
			return listener, nil
		}
		at = at.Next()
	}
	return nil, errors.New("no address of 127.1.0.0/18 is free for a host")
}

// StopHost takes a host away with all that runs on it, at once.
func (a *Agent) StopHost(id string) {
	a.mu.Lock()
	h := a.hosts[id]
	delete(a.hosts, id)
	var lost []*run
	for _, r := range a.runs {
		if r.HostID == id {
			lost = append(lost, r)
		}
	}
	a.mu.Unlock()
	for _, r := range lost {
		r.leave() // its container is removed, even if it runs
	}
	if h == nil {
		return
	}
	// Another host may have the address when no container listens at it any more.
	a.all.Go(func() {
		for _, r := range lost {
			<-r.gone
		}
		a.unprotect(h)
		_ = h.server.Close()
	})
}

// pages returns the servers of EC2 and of the ECS agent on a host.
func (h *host) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", h.giveToken)
	mux.HandleFunc("GET /latest/meta-data/{name...}", h.metadata)
	mux.HandleFunc("GET "+credentialsPath+"{id}", h.taskCredentials)
	mux.HandleFunc("GET /v4/{task}", h.containerMetadata)
	mux.HandleFunc("GET /v4/{task}/task", h.taskMetadata)
	return mux
}

func (h *host) giveToken(w http.ResponseWriter, r *http.Request) {
	const header = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	seconds, err := strconv.Atoi(r.Header.Get(header))
	if err != nil || seconds < 1 || seconds > 21600 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set(header, r.Header.Get(header))
	fmt.Fprint(w, h.tokens.give(time.Duration(seconds)*time.Second))
}

// tokens are IMDSv2's.
type tokens struct {
	mu   sync.Mutex
	ends map[string]time.Time
}

func (t *tokens) give(life time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.ends, func(_ string, end time.Time) bool { return time.Now().After(end) })
	token := batch.RandomID()
	t.ends[token] = time.Now().Add(life)
	return token
}

func (t *tokens) holds(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().Before(t.ends[token])
}

// metadata serves IMDSv2; without a token there is nothing, as the launch
// template asks for it.
func (h *host) metadata(w http.ResponseWriter, r *http.Request) {
	if !h.tokens.holds(r.Header.Get("X-Aws-Ec2-Metadata-Token")) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	name := r.PathValue("name")
	if strings.HasPrefix(name, "iam/security-credentials") {
		h.hostCredentials(w, r, strings.Trim(strings.TrimPrefix(name, "iam/security-credentials"), "/"))
		return
	}
	value, known := map[string]string{
		"instance-id": h.ID, "instance-type": h.Type.Name, "local-ipv4": h.address.String(), "public-ipv4": h.address.String(),
		"placement/region": local.Region, "placement/availability-zone": local.Region + "a",
	}[name]
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, value)
}

// credentialsJSON is the document of either credentials endpoint.
type credentialsJSON struct {
	Code            string `json:",omitempty"`
	Type            string `json:",omitempty"`
	RoleArn         string `json:",omitempty"`
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string
	LastUpdated     string `json:",omitempty"`
}

// hostCredentials serves the credentials of the host's role.
func (h *host) hostCredentials(w http.ResponseWriter, r *http.Request, asked string) {
	role, err := h.agent.hostRole(r.Context(), h)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusNotFound)
	case asked == "":
		fmt.Fprint(w, path.Base(role))
	case asked != path.Base(role):
		w.WriteHeader(http.StatusNotFound)
	default:
		h.serveCredentials(w, r, h.roles.provider(role, hostService), credentialsJSON{Code: "Success", Type: "AWS-HMAC", LastUpdated: time.Now().UTC().Format(time.RFC3339)})
	}
}

// taskCredentials are those of a task's role, as long as the task lives.
func (h *host) taskCredentials(w http.ResponseWriter, r *http.Request) {
	for _, t := range h.agent.tasksOn(h) {
		if subtle.ConstantTimeCompare([]byte(t.credentialsID), []byte(r.PathValue("id"))) == 1 && t.Container.JobRoleARN != "" {
			h.serveCredentials(w, r, t.roles.provider(t.Container.JobRoleARN, taskService), credentialsJSON{RoleArn: t.Container.JobRoleARN})
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (h *host) serveCredentials(w http.ResponseWriter, r *http.Request, from aws.CredentialsProvider, document credentialsJSON) {
	given, err := from.Retrieve(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	document.AccessKeyID, document.SecretAccessKey, document.Token = given.AccessKeyID, given.SecretAccessKey, given.SessionToken
	document.Expiration = given.Expires.UTC().Format(time.RFC3339)
	h.serve(w, document)
}

// containerJSON is a part of the agent's document about a container, and taskJSON of that
// about its task (Amazon ECS developer guide, "Task metadata endpoint version 4").
type (
	containerJSON struct {
		DockerID    string `json:"DockerId"`
		Name        string
		DockerName  string
		Image       string
		ImageID     string
		Labels      map[string]string
		KnownStatus string
		CreatedAt   string
		StartedAt   string `json:",omitempty"`
		Type        string
	}
	taskJSON struct {
		TaskARN, Cluster, Family, KnownStatus string
		Containers                            []containerJSON
	}
)

func (h *host) containerMetadata(w http.ResponseWriter, r *http.Request) {
	h.serveTask(w, r, func(_ *run, c containerJSON) any { return c })
}

func (h *host) taskMetadata(w http.ResponseWriter, r *http.Request) {
	h.serveTask(w, r, func(t *run, c containerJSON) any {
		return taskJSON{TaskARN: t.ARN, Cluster: t.EnvironmentName + "_Batch", Family: t.DefinitionName, KnownStatus: c.KnownStatus, Containers: []containerJSON{c}}
	})
}

// serveTask serves a document about the task that a request names.
func (h *host) serveTask(w http.ResponseWriter, r *http.Request, document func(*run, containerJSON) any) {
	for _, t := range h.agent.tasksOn(h) {
		if t.ID != r.PathValue("task") {
			continue
		}
		about, err := h.agent.docker.ContainerInspect(r.Context(), name(t.ID))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h.serve(w, document(t, containerJSON{
			DockerID: about.ID, Name: about.Config.Labels["com.amazonaws.ecs.container-name"], DockerName: strings.TrimPrefix(about.Name, "/"),
			Image: about.Config.Image, ImageID: about.Image, Labels: about.Config.Labels, KnownStatus: "RUNNING",
			CreatedAt: about.Created, StartedAt: about.State.StartedAt, Type: "NORMAL",
		}))
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (h *host) serve(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		h.agent.log.Printf("host %s: %v", h.ID, err)
	}
}

func (a *Agent) tasksOn(h *host) []*run {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*run
	for _, r := range a.runs {
		if r.host == h {
			list = append(list, r)
		}
	}
	return list
}

// hostRole is the role of a host's instance profile, read once.
func (a *Agent) hostRole(ctx context.Context, h *host) (string, error) {
	h.role.Lock()
	defer h.role.Unlock()
	if h.role.arn != "" {
		return h.role.arn, nil
	}
	profile := path.Base(h.InstanceProfileARN)
	reader := iam.NewFromConfig(a.with(a.config.Admin))
	found, err := reader.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &profile})
	if err != nil {
		return "", fmt.Errorf("the host's instance profile %s: %w", profile, err)
	}
	if len(found.InstanceProfile.Roles) == 0 {
		return "", fmt.Errorf("the host's instance profile %s has no role", profile)
	}
	h.role.arn = *found.InstanceProfile.Roles[0].Arn
	return h.role.arn, nil
}
