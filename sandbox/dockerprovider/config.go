package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// config is the Docker to build on. Without a host it is the docker command's
// own choice: DOCKER_HOST, else this machine's.
type config struct {
	host       string
	sshOptions []string
}

// failures are all faults of some inputs.
type failures []*pulumirpc.CheckFailure

func (f *failures) add(property, format string, args ...any) {
	*f = append(*f, &pulumirpc.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
}

// parseConfig reads the provider's settings. Those that docker.Image does not
// look at are accepted; those that would choose another Docker are refused.
func parseConfig(args resource.PropertyMap) (config, failures) {
	var c config
	var f failures
	if host := args["host"]; host.IsString() {
		c.host = host.StringValue()
	}
	options, err := texts(args["sshOpts"])
	if err != nil {
		f.add("sshOpts", "%v", err)
	}
	c.sshOptions = options
	for _, key := range []resource.PropertyKey{"caMaterial", "certMaterial", "keyMaterial", "certPath"} {
		if v := args[key]; v.HasValue() && (!v.IsString() || v.StringValue() != "") {
			f.add(string(key), "the sandbox's stand-in for the Docker provider knows no TLS: use a socket or ssh://")
		}
	}
	return c, f
}

// texts reads a list of texts, which comes as one or as its JSON: nested
// settings of a provider are sent either way.
func texts(v resource.PropertyValue) ([]string, error) {
	list := []string{}
	switch {
	case v.IsString() && v.StringValue() != "":
		if err := json.Unmarshal([]byte(v.StringValue()), &list); err != nil {
			return nil, fmt.Errorf("must be a list of texts: %w", err)
		}
	case v.IsArray():
		for _, element := range v.ArrayValue() {
			if element.IsComputed() {
				continue
			}
			if !element.IsString() {
				return nil, fmt.Errorf("must be a list of texts; one is a %s", element.TypeString())
			}
			list = append(list, element.StringValue())
		}
	}
	return list, nil
}

// overSSH reports whether Docker is reached by the ssh command.
func (c config) overSSH() bool { return strings.HasPrefix(c.host, "ssh://") }
