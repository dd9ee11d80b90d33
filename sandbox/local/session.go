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
	settings := contract.DefaultSettings()
	settings.Stack, settings.User, settings.Image, settings.Region, settings.Ports = Stack, "player1", image, Region, ports
	settings.FirstConnect, settings.Grace, settings.Idle, settings.Max = 5*time.Minute, time.Minute, 0, 10*time.Minute
	settings.SoftwareRendering = true
	environment := map[string]string{
		contract.EnvCredentials: fmt.Sprintf(`{"username":"player1","password":%q}`, password),
		// Not the metadata of this machine, which may be an EC2 instance.
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
	}
	for _, pair := range settings.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	return environment
}
