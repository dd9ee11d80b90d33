package compute

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"strings"

	"github.com/intraverse/dcv-sessions/components/hostguard"
	"github.com/intraverse/dcv-sessions/internal/xmodules"
)

// boundary is fixed, so that the same settings give the same user data.
const boundary = "==dcv-sessions=="

// Host is the settings of a host's user data.
type Host struct {
	StopSeconds int  // between SIGTERM and SIGKILL; AWS Batch has no setting for it
	Spot        bool // may be reclaimed
	SharedGPU   bool // its sessions reserve no GPU
	LastPort    int  // up to here only root takes ports
}

// UserData returns the script of a host's first start, as MIME multi-part: AWS Batch
// takes no other form (user guide, "Use Amazon EC2 launch templates"). It guards the
// host, sets the ECS agent's own settings, and completes the driver's files, before
// Batch's part starts the agent.
func (h Host) UserData() string {
	settings := []string{
		fmt.Sprintf("ECS_CONTAINER_STOP_TIMEOUT=%ds", h.StopSeconds),
		"ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true",     // a session's role under host networking
		"ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true", // logs by the execution role: the host's may write none
	}
	if h.Spot {
		settings = append(settings, "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true") // a reclaim reaches sessions as SIGTERM
	}
	script := "#!/bin/bash\n" + hostguard.Script(h.LastPort) + "cat >> /etc/ecs/ecs.config <<'EOF'\n" + strings.Join(settings, "\n") + "\nEOF\n" + xmodules.HostScript
	if h.SharedGPU {
		script += shareGPU
	}

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

// shareGPU makes NVIDIA's Docker's default runtime (ECS developer guide, "Share
// GPUs"). The agent chooses that runtime only for containers that reserve a GPU.
const shareGPU = `sed -i 's/^OPTIONS="/OPTIONS="--default-runtime nvidia /' /etc/sysconfig/docker
systemctl restart docker
`

// encoded is the user data as EC2 takes it.
func (h Host) encoded() string { return base64.StdEncoding.EncodeToString([]byte(h.UserData())) }
