package contract

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// EnvSeal is the beginning of the name of a variable by which a session knows that
// its job runs with the environment of its definition; Seal returns the whole name.
// A job that is submitted may override every variable of its definition, but not the
// list of secrets and their names (AWS Batch API reference, ContainerOverrides). So
// the seal is a secret, and its name, not its value, carries a digest of the
// definition's variables. Its value is the user's name, from the user's credentials
// secret.
const EnvSeal = "DCV_DEFINITION_"

// EnvDisplayServer is a variable that the image sets to its DisplayServer.
const EnvDisplayServer = "DCV_DISPLAY_SERVER"

// SecretVariables are the variables that hold secrets.
var SecretVariables = []string{EnvCertificate, EnvCredentials, EnvNotify}

// Seal returns the name of the variable that seals a job's environment: EnvSeal and a
// digest of all variables that only the job definition may set. These are every DCV_…
// variable except the launcher's, the image's and the seal itself, and AWS's Region
// and endpoints. Of secrets the digest covers the names only: the program does not
// know their values.
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
	if err != nil {                   // impossible for a map of strings
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
