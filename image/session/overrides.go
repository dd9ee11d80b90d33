package main

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
)

// Variables by which the ECS agent and the AWS SDKs name their addresses.
const (
	envTaskMetadata   = "ECS_CONTAINER_METADATA_URI_V4"
	envCredentialsURI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	envCredentialsURL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	envHostMetadata   = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
)

// isDefinitions refuses a job that was submitted with other values of variables that
// belong to the job definition: see contract.Seal.
func (r *reader) isDefinitions(user string) {
	var seals []string
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		if strings.HasPrefix(name, contract.EnvSeal) {
			seals = append(seals, name)
		}
	}
	r.check(len(seals) > 0, "no variable begins with "+contract.EnvSeal+
		": the job definition is of an earlier version than the image; `pulumi up` with the version that the image belongs to")
	r.check(len(seals) == 0 || slices.Equal(seals, []string{contract.Seal(r.env)}) && r.env[seals[0]] == user,
		"the job overrides or adds a variable that only its definition may set (DCV_…, "+contract.EnvRegion+"); allowed: "+contract.EnvLaunch)
}

// elsewhere are the names, or their beginnings, of variables by which a process calls
// another AWS than the host's, or with another identity than the job's role (AWS SDKs and Tools reference
// guide, "Environment variables list").
var elsewhere = []string{
	"AWS_ACCESS_KEY", "AWS_SECRET_", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CONTAINER_", "AWS_ROLE_", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_EC2_METADATA_", "AWS_CA_BUNDLE",
}

// isOnAWS refuses a job that names another AWS, other metadata or other credentials
// than its host has. The one exception is a job definition with endpoints of AWS on this
// very machine: then the agent sets those variables.
func (r *reader) isOnAWS(dropped []string) {
	for _, name := range dropped {
		r.check(!slices.ContainsFunc(elsewhere, func(begin string) bool { return strings.HasPrefix(name, begin) }),
			name+" is set; allowed: none, a session calls AWS as its host and its role have it")
	}
	if onThisMachine(r.env[contract.EnvBatchEndpoint]) {
		return
	}
	for _, rule := range []struct{ name, prefix string }{
		{envTaskMetadata, "http://169.254.170.2/"}, // ECS developer guide, "Task metadata endpoint version 4"
		{envCredentialsURI, "/"},                   // ECS developer guide, "Task IAM role": a path at 169.254.170.2
	} {
		value, set := r.env[rule.name]
		r.check(!set || strings.HasPrefix(value, rule.prefix), fmt.Sprintf("%s=%q; allowed: an address that begins with %s", rule.name, value, rule.prefix))
	}
	for _, name := range []string{envCredentialsURL, envHostMetadata} {
		_, set := r.env[name]
		r.check(!set, name+" is set; allowed: none, since the job definition has no "+contract.EnvBatchEndpoint+" on loopback")
	}
}

// onThisMachine reports whether a URL's host is a loopback address.
func onThisMachine(address string) bool {
	at, err := url.Parse(address)
	if err != nil {
		return false
	}
	host, err := netip.ParseAddr(at.Hostname())
	return err == nil && host.IsLoopback()
}
