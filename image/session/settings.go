package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
	"github.com/intraverse/dcv-sessions/image/session/life"
)

// envJob is set by AWS Batch in every job (Batch user guide, "Job environment
// variables"): the job's id is the session's.
const envJob = "AWS_BATCH_JOB_ID"

// settings are what the job definition and AWS Batch tell a session.
type settings struct {
	session     string // the job's id, else a random one
	onBatchHost bool
	stack, user string
	image       string
	region      string
	// batchEndpoint is the SDKs' own setting for AWS Batch; "" on AWS.
	batchEndpoint string
	// taskMetadata is where the ECS agent tells of the session's task; "" off ECS.
	taskMetadata      string
	ports             contract.PortRange
	limits            life.Limits
	displayServer     contract.DisplayServer // the image's
	sessionType       string                 // DCV's
	nativeClients     bool
	softwareRendering bool
	gpu               string // NVIDIA's variable: the GPUs that the session may use
	credentials       contract.Credentials
	notification      *contract.Notification // nil: nobody is told
	certificate       *contract.Certificate  // nil: one is made
}

// envGPU is the variable by which NVIDIA's container toolkit knows the GPUs of a
// container.
const envGPU = "NVIDIA_VISIBLE_DEVICES"

// readSettings reads the environment and names everything that is wrong with
// it. What it can read it returns in either case, so that events carry it.
func readSettings(given boot.Given) (settings, error) {
	r := reader{env: map[string]string{}}
	for _, pair := range given.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		r.env[name] = value
	}
	s := settings{
		batchEndpoint: r.env[contract.EnvBatchEndpoint],
		taskMetadata:  r.env[envTaskMetadata],
		session:       r.env[envJob], onBatchHost: r.env[envJob] != "",
		stack: r.text(contract.EnvStack), user: r.text(contract.EnvUser),
		image: r.text(contract.EnvImage), region: r.text(contract.EnvRegion),
		ports: contract.PortRange{First: r.number(contract.EnvPortFirst, 1024, 65535), Last: r.number(contract.EnvPortLast, 1024, 65535)},
		limits: life.Limits{
			FirstConnect: r.seconds(contract.EnvFirstConnectSeconds, 10),
			Grace:        r.seconds(contract.EnvGraceSeconds, 1),
			Idle:         r.seconds(contract.EnvIdleSeconds, 0),
			Longest:      r.seconds(contract.EnvMaxSeconds, 60),
			Stop:         time.Duration(r.number(contract.EnvStopSeconds, 2, 110)) * time.Second,
		},
		displayServer: contract.DisplayServer(r.oneOf(contract.EnvDisplayServer, string(contract.DCV), string(contract.VNC))), sessionType: r.oneOf(contract.EnvSessionType, contract.SessionConsole, contract.SessionVirtual),
		nativeClients: r.oneOf(contract.EnvNativeClients, "true", "false") == "true", softwareRendering: r.oneOf(contract.EnvSoftwareRendering, "true", "false") == "true",
		gpu: r.env[envGPU],
	}
	if !s.onBatchHost {
		s.session = "local-" + randomID()
	}
	if s.onBatchHost {
		r.isDefinitions(s.user)
		r.isOnAWS(given.Dropped)
	}
	r.number(contract.EnvContract, contract.Version, contract.Version) // an image of another contract must not guess
	r.check(s.ports.Width() >= 1, contract.EnvPortLast+" is below "+contract.EnvPortFirst)
	r.check(s.user == "" || contract.UserPattern.MatchString(s.user) && !contract.Reserved(s.user),
		fmt.Sprintf("%s=%q is no user's name", contract.EnvUser, s.user))
	s.credentials = r.credentials(s.user)
	s.notification, s.certificate = optional[contract.Notification](&r, contract.EnvNotify), optional[contract.Certificate](&r, contract.EnvCertificate)
	return s, errors.Join(r.faults...)
}

// reader collects what is wrong, so that a person mends it in one go.
type reader struct {
	env    map[string]string
	faults []error
}

func (r *reader) check(ok bool, fault string) {
	if !ok {
		r.faults = append(r.faults, errors.New(fault))
	}
}

func (r *reader) text(name string) string {
	r.check(r.env[name] != "", name+" is missing")
	return r.env[name]
}

func (r *reader) number(name string, low, high int) int {
	n, err := strconv.Atoi(r.env[name])
	r.check(err == nil && n >= low && n <= high, fmt.Sprintf("%s=%q is no whole number from %d to %d", name, r.env[name], low, high))
	return n
}

// seconds are at most a week, which no session lasts longer than.
func (r *reader) seconds(name string, low int) time.Duration {
	return time.Duration(r.number(name, low, 7*24*3600)) * time.Second
}

func (r *reader) oneOf(name string, values ...string) string {
	r.check(slices.Contains(values, r.env[name]), fmt.Sprintf("%s=%q is none of %s", name, r.env[name], strings.Join(values, ", ")))
	return r.env[name]
}

// optional reads a secret's JSON, where there is one; it never puts a part of it
// into its fault.
func optional[T any](r *reader, name string) *T {
	text, given := r.env[name]
	if !given {
		return nil
	}
	var value T
	r.check(json.Unmarshal([]byte(text), &value) == nil, name+" is not the JSON of its secret")
	return &value
}

// credentials never puts a part of the secret into its fault.
func (r *reader) credentials(user string) contract.Credentials {
	var c contract.Credentials
	err := json.Unmarshal([]byte(r.env[contract.EnvCredentials]), &c)
	r.check(err == nil && c.Password != "" && c.Username == user,
		contract.EnvCredentials+" is not the JSON of this user's credentials secret")
	return c
}

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
