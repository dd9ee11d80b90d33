package contract

// Beginnings of AWS Batch's reasons for the end of a job (statusReason of DescribeJobs and
// of its events). If somebody ends a job by TerminateJob or CancelJob, the reason is the
// caller's text instead.
const (
	ReasonExited     = "Essential container in task exited"    // with any exit code
	ReasonNotStarted = "Task failed to start"                  // the container's own reason has more
	ReasonHost       = "Host EC2"                              // was terminated
	ReasonTimeout    = "Job attempt duration exceeded timeout" // of the job definition
	ReasonTimeLimit  = "Canceled by JobStateTimeLimit"         // of the job queue
	ReasonRole       = "ECS was unable to assume the role"
)

// ReasonOutOfMemory begins the ECS agent's reason for the end of a container that used
// more than its memory (amazon-ecs-agent, agent/api/errors).
const ReasonOutOfMemory = "OutOfMemoryError"

// ReasonsSecret begin the reasons for the end of a job with a secret that the ECS agent
// can't read, by the agent's version.
var ReasonsSecret = []string{
	"ResourceInitializationError", "Fetching secret data", "fetching secret data", "ASM secret resource", "operation error Secrets Manager", "AccessDeniedException",
	"retrieved secret from Secrets Manager",
}

// ReasonsNotAsked are the beginnings of all reasons for the end of a job that nobody asked
// to end.
var ReasonsNotAsked = append([]string{ReasonExited, ReasonNotStarted, ReasonHost, ReasonTimeout, ReasonTimeLimit, ReasonRole}, ReasonsSecret...)
