package local

import (
	"fmt"

	"github.com/intraverse/dcv-sessions/contract"
)

// SessionEnvironment is that of a session which is run by hand, without AWS
// Batch, an agent or instance metadata: it stays on loopback.
func SessionEnvironment(image, password string, ports contract.PortRange) map[string]string {
	return map[string]string{
		contract.EnvContract:            fmt.Sprint(contract.Version),
		contract.EnvStack:               "sandbox",
		contract.EnvUser:                "player1",
		contract.EnvImage:               image,
		contract.EnvRegion:              Region,
		contract.EnvPortFirst:           fmt.Sprint(ports.First),
		contract.EnvPortLast:            fmt.Sprint(ports.Last),
		contract.EnvStopSeconds:         "30",
		contract.EnvMaxSeconds:          "600",
		contract.EnvFirstConnectSeconds: "300",
		contract.EnvGraceSeconds:        "60",
		contract.EnvIdleSeconds:         "0",
		contract.EnvSessionType:         contract.SessionConsole,
		contract.EnvNativeClients:       "false",
		contract.EnvSoftwareRendering:   "true",
		contract.EnvCredentials:         fmt.Sprintf(`{"username":"player1","password":%q}`, password),
		// This machine's own metadata, if any, is not meant.
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
	}
}
