package main

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
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
	// logsEndpoint is the SDKs' own setting for CloudWatch Logs; "" on AWS.
	logsEndpoint string
	// taskMetadata is where the ECS agent tells of the session's task; "" off ECS.
	taskMetadata string
	ports        contract.PortRange
	stop         time.Duration // between SIGTERM and SIGKILL
	max          time.Duration // the session ends itself after this long
	credentials  contract.Credentials
}

// readSettings reads the environment and names everything that is wrong with
// it. What it can read it returns in either case, so that events carry it.
func readSettings(environ []string) (settings, error) {
	r := reader{env: map[string]string{}}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		r.env[name] = value
	}
	s := settings{
		logsEndpoint: cmp.Or(r.env["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"], r.env["AWS_ENDPOINT_URL"]),
		taskMetadata: r.env["ECS_CONTAINER_METADATA_URI_V4"],
		session:      r.env[envJob], onBatchHost: r.env[envJob] != "",
		stack: r.text(contract.EnvStack), user: r.text(contract.EnvUser),
		image: r.text(contract.EnvImage), region: r.text(contract.EnvRegion),
		ports: contract.PortRange{First: r.number(contract.EnvPortFirst, 1024, 65535), Last: r.number(contract.EnvPortLast, 1024, 65535)},
		stop:  time.Duration(r.number(contract.EnvStopSeconds, 2, 110)) * time.Second,
		max:   time.Duration(r.number(contract.EnvMaxSeconds, 60, 7*24*3600)) * time.Second,
	}
	if !s.onBatchHost {
		s.session = "local-" + randomID()
	}
	r.number(contract.EnvContract, contract.Version, contract.Version) // an image of another contract must not guess
	r.check(s.ports.Width() >= 1, contract.EnvPortLast+" is below "+contract.EnvPortFirst)
	r.check(s.user == "" || contract.UserPattern.MatchString(s.user) && !contract.Reserved(s.user),
		fmt.Sprintf("%s=%q is no user's name", contract.EnvUser, s.user))
	s.credentials = r.credentials(s.user)
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
