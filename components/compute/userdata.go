package compute

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// boundary is fixed, so that the same settings give the same user data.
const boundary = "==dcv-sessions=="

// UserData is what a host runs at its first start, as MIME multi-part: AWS Batch
// takes no other form (user guide, "Use Amazon EC2 launch templates"). It sets
// the ECS agent's own settings before Batch's part starts the agent.
func UserData(stopSeconds int, spot bool) string {
	settings := []string{
		fmt.Sprintf("ECS_CONTAINER_STOP_TIMEOUT=%ds", stopSeconds), // between SIGTERM and SIGKILL
		"ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true",               // a session's role under host networking
	}
	if spot {
		settings = append(settings, "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true") // a reclaim reaches sessions as SIGTERM
	}
	script := "#!/bin/bash\ncat >> /etc/ecs/ecs.config <<'EOF'\n" + strings.Join(settings, "\n") + "\nEOF\n"

	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	if err := parts.SetBoundary(boundary); err != nil {
		panic(err) // a constant
	}
	part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {`text/x-shellscript; charset="us-ascii"`}})
	if err == nil {
		_, err = part.Write([]byte(script))
	}
	if err == nil {
		err = parts.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n" + body.String()
}

func encode(userData string) string { return base64.StdEncoding.EncodeToString([]byte(userData)) }
