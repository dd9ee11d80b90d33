package contract

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// EnvSeal begins the name of a variable by which a session knows that its job runs
// with the environment of its definition: Seal returns the whole name. Whoever may
// submit a job may override every variable of the definition's environment, but
// neither its list of secrets nor a secret's name (AWS Batch API reference,
// ContainerOverrides). So the seal is a secret, which the execution role injects,
// and its name, not its value, carries what the definition says. Its value is the
// user's name, as it stands in the user's credentials secret.
const EnvSeal = "DCV_DEFINITION_"

// EnvDisplayServer is set by the image, to the kind of display server in it.
const EnvDisplayServer = "DCV_DISPLAY_SERVER"

// SecretVariables are the variables that hold secrets.
var SecretVariables = []string{EnvCertificate, EnvCredentials, EnvNotify}

// Seal returns the name of the variable that vouches for a job's environment: EnvSeal
// and a digest of everything in it that only the job definition may set. That is
// every DCV_… variable but the launcher's, the image's and the seal itself, and AWS's
// Region and endpoints. Of secrets only the names count: their values are known to
// the execution role alone.
func Seal(environment map[string]string) string {
	sealed := map[string]string{}
	for name, value := range environment {
		if slices.Contains(SecretVariables, name) {
			value = ""
		}
		if isSealed(name) {
			sealed[name] = value
		}
	}
	text, err := json.Marshal(sealed) // by name in ascending order
	if err != nil {                   // a map of strings: it can't happen
		panic(err)
	}
	return fmt.Sprintf("%s%x", EnvSeal, sha256.Sum256(text))
}

func isSealed(name string) bool {
	switch name {
	case EnvLaunch, EnvDisplayServer:
		return false
	case EnvRegion, EnvBatchEndpoint, EnvTopicsEndpoint:
		return true
	}
	return strings.HasPrefix(name, "DCV_") && !strings.HasPrefix(name, EnvSeal)
}
