package batch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// Service is AWS Batch's job calls in the gateway, with the scheduler behind
// them. Queues, environments and job definitions are read from moto.
type Service struct {
	// Check returns the properties of a container that the agent does not support;
	// nil: it supports all.
	Check func(ContainerProperties) []error

	// Changed is called for every change of a job's state, with the job as
	// DescribeJobs shows it; may be nil. Set all of them before Run.
	Changed func(jobARN string, detail any)

	// Blocked is called if a job blocks the front of its queue, with the job as
	// DescribeJobs shows it; may be nil.
	Blocked func(jobARN, queueARN string, detail any)

	// Measured is called for every value of AWS Batch's own metrics; may be nil.
	Measured func(Measurement)

	scheduler *Scheduler
	control   control
	meter     meter

	mu    sync.Mutex
	stale bool // the control plane has changed since it was read
}

// NewService makes one that reads the control plane at an AWS endpoint, which is
// the gateway that it is a part of.
func NewService(config Config, endpoint string) *Service {
	s := &Service{control: newControl(endpoint, config.AccessKey), meter: meter{times: map[string]times{}}, stale: true}
	config.blocked = func(j Job) {
		if s.Blocked != nil {
			s.Blocked(j.ARN, j.QueueARN, s.detail(j))
		}
	}
	config.changed = func(j Job) {
		s.measure(j)
		if s.Changed != nil {
			s.Changed(j.ARN, s.detail(j))
		}
	}
	s.scheduler = New(config)
	return s
}

// Run schedules until the context ends.
func (s *Service) Run(ctx context.Context) { s.scheduler.Run(ctx) }

// JobTags returns a job's tags; none if there is no such job.
func (s *Service) JobTags(id string) map[string]string {
	j, _ := s.scheduler.Job(id)
	return j.Tags
}

// Behaviours returns the gateway's behaviours that this service implements.
func (s *Service) Behaviours() []gateway.Behaviour {
	return []gateway.Behaviour{
		{Name: "batch jobs", Service: "batch", Answers: map[string]gateway.Handler{
			"SubmitJob": s.submit, "DescribeJobs": s.describe, "ListJobs": s.list, "CancelJob": s.cancel, "TerminateJob": s.terminate,
			"TagResource": s.tag, "UntagResource": s.untag, "ListTagsForResource": s.listTags,
		}},
		{Name: "batch control plane", Service: "batch", Answers: map[string]gateway.Handler{
			"CreateComputeEnvironment": s.changed, "UpdateComputeEnvironment": s.updateEnvironment, "DeleteComputeEnvironment": s.deleteEnvironment,
			"DescribeComputeEnvironments": s.describeEnvironments,
			"CreateJobQueue":              s.changed, "UpdateJobQueue": s.changed, "DeleteJobQueue": s.changed,
		}},
	}
}

// changed lets the scheduler know that the control plane has changed.
func (s *Service) changed(c *gateway.Call) (*http.Response, error) {
	res, err := c.Forward()
	s.mu.Lock()
	s.stale = true
	s.mu.Unlock()
	go s.reread()
	return res, err
}

// reread reads the control plane in the background; it logs an error.
func (s *Service) reread() {
	if err := s.refresh(context.Background()); err != nil {
		s.scheduler.config.Logf("the control plane: %v", err)
	}
}

// refresh reads the control plane if it has changed.
func (s *Service) refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stale {
		return nil
	}
	s.stale = false // later changes are read again
	plane, err := s.control.plane(ctx)
	if err != nil {
		s.stale = true
		return err
	}
	s.scheduler.SetPlane(plane)
	return nil
}

// RandomID is 32 random hexadecimal digits.
func RandomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
