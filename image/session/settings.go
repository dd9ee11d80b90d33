package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
)

// envJob is set by AWS Batch in every job (Batch user guide, "Job environment
// variables"): the job's id is the session's.
const envJob = "AWS_BATCH_JOB_ID"

// settings are the stack's settings and those that AWS Batch, the image and the
// execution role add for one session.
type settings struct {
	contract.Settings
	session       string // the job's id, else a random one
	onBatchHost   bool
	submitted     string                 // contract.EnvSubmitted as it was given
	taskMetadata  string                 // the ECS agent's address for the session's task; "" off ECS
	displayServer contract.DisplayServer // the image's
	gpu           string                 // NVIDIA's variable: the GPUs that the session may use
	credentials   contract.Credentials
	notification  *contract.Notification // nil: the user is not notified
	certificate   *contract.Certificate  // nil: one is made
}

// envGPU is the variable by which NVIDIA's container toolkit knows the GPUs of a
// container.
const envGPU = "NVIDIA_VISIBLE_DEVICES"

// readSettings reads the environment and returns all its faults. It returns the
// readable settings in either case, for events.
func readSettings(given boot.Given) (settings, error) {
	r := reader{env: map[string]string{}}
	for _, pair := range given.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		r.env[name] = value
	}
	parsed, err := contract.ParseSettings(r.lookup)
	s := settings{
		Settings:      parsed,
		session:       r.env[envJob],
		onBatchHost:   r.env[envJob] != "",
		submitted:     r.env[contract.EnvSubmitted],
		taskMetadata:  r.env[envTaskMetadata],
		displayServer: contract.DisplayServer(r.env[contract.EnvDisplayServer]),
		gpu:           r.env[envGPU],
		credentials:   r.credentials(parsed.User),
		notification:  optional[contract.Notification](&r, contract.EnvNotify),
		certificate:   optional[contract.Certificate](&r, contract.EnvCertificate),
	}
	r.check(slices.Contains(contract.DisplayServers, s.displayServer), fmt.Sprintf("%s is %q; allowed: %v", contract.EnvDisplayServer, s.displayServer, contract.DisplayServers))
	if s.onBatchHost {
		r.isDefinitions(s.User)
		r.isOnAWS(given.Dropped)
	} else {
		s.session = "local-" + randomID()
	}
	return s, errors.Join(append(r.faults, err)...)
}

// reader collects everything that is wrong, so that a person can fix it at once.
type reader struct {
	env    map[string]string
	faults []error
}

func (r *reader) lookup(name string) (string, bool) {
	value, set := r.env[name]
	return value, set
}

func (r *reader) check(ok bool, fault string) {
	if !ok {
		r.faults = append(r.faults, errors.New(fault))
	}
}

// optional reads a secret's JSON if there is one; it never puts a part of it into
// its fault.
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
