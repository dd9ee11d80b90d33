package local

import (
	"fmt"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// SessionEnvironment returns the environment of a session that is run by hand, without
// AWS Batch, an agent or instance metadata: it stays on loopback.
func SessionEnvironment(image, password string, ports contract.PortRange) map[string]string {
	settings := contract.Settings{
		Stack: Stack, User: "player1", Image: image, Region: Region, Ports: ports,
		Limits:      contract.Limits{FirstConnect: 5 * time.Minute, Grace: time.Minute, Max: 10 * time.Minute, Stop: 30 * time.Second},
		DisplayMode: contract.DisplayConsole, SoftwareRendering: true,
	}
	environment := map[string]string{
		contract.EnvCredentials: fmt.Sprintf(`{"username":"player1","password":%q}`, password),
		// This machine's own metadata, if any, is not meant.
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
	}
	for _, pair := range settings.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	return environment
}
