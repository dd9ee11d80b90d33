package main

import (
	"encoding/base64"
	"regexp"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/internal/recorded"
)

var (
	// secretName is how a variable is named that holds a secret.
	secretName = regexp.MustCompile(`(?i)passw|secret|token|credential|private_?key|api_?key|access_?key`)
	// secretValue is how credentials begin: of AWS, of GitHub, and private keys.
	secretValue = regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	// secretAssigned is a script's variable with such a name and a literal value.
	secretAssigned = regexp.MustCompile(`(?im)^[ \t]*(?:export[ \t]+)?(\w*(?:passw|secret|token|credential)\w*)=["']?[A-Za-z0-9+/_-]{8,}`)
)

// environmentSecrets finds variables of a container that look like secrets. Their
// values are not repeated.
func environmentSecrets(_ *recorded.Graph, r componenttest.Resource) []finding {
	var found []finding
	for _, variable := range at(inputs(r), "containerProperties.environment[]") {
		object, _ := variable.(map[string]any)
		name := text(object["name"])
		switch {
		case secretName.MatchString(name):
			found = append(found, finding{"containerProperties.environment " + name, "named like a secret"})
		case secretValue.MatchString(text(object["value"])):
			found = append(found, finding{"containerProperties.environment " + name, "a credential"})
		}
	}
	return found
}

// userDataSecrets finds credentials in the script that a machine runs at its first start.
func userDataSecrets(_ *recorded.Graph, r componenttest.Resource) []finding {
	var found []finding
	for _, property := range []string{"userData", "userDataBase64"} {
		script, _ := r.Inputs[property].(string)
		if decoded, err := base64.StdEncoding.DecodeString(script); err == nil {
			script = string(decoded)
		}
		if secretValue.MatchString(script) {
			found = append(found, finding{property, "a script with a credential"})
		}
		for _, assigned := range secretAssigned.FindAllStringSubmatch(script, -1) {
			found = append(found, finding{property, "a script that sets " + assigned[1]})
		}
	}
	return found
}
