package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
	"github.com/intraverse/dcv-sessions/launch"
)

// check refuses a study that can't be done, before anything starts. Its error has all faults.
func (s *study) check(ctx context.Context) error {
	if len(s.stack.Capacity) == 0 {
		return errors.New(`the stack's outputs have no "capacity": run pulumi up once with this release`)
	}
	s.hostType = cmp.Or(s.instanceType, s.stack.Capacity[0].InstanceType)
	if _, known := capacity.InstanceTypes[s.hostType]; !known {
		return errors.New("instance type " + s.hostType + " is not in the table of instance types")
	}
	for _, user := range s.users { // a user who does not exist has neither session nor password
		if _, known := s.stack.JobDefinitions[user]; !known {
			_, err := s.launcher.Definition(ctx, user)
			return err
		}
	}
	var err error
	if s.definition, err = s.launcher.Definition(ctx, s.users[0]); err != nil {
		return err
	}
	var f faults.Faults
	s.checkRoom(&f)
	s.checkTimes(&f)
	if err := s.checkVacant(ctx, &f); err != nil {
		return err
	}
	if err := f.Err("the measurement"); err != nil {
		return err
	}
	s.passwords = map[string]contract.Credentials{}
	for _, user := range s.users {
		if s.passwords[user], err = s.launcher.Password(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

// key returns a configuration key as it is in a stack's file.
func key(name string) string { return contract.Product + ":" + name }

// checkRoom checks that all sessions fit one host. A submission divides its vCPUs and
// memory among them. It can't share a GPU: AWS documents no override that takes one away
// (AWS Batch API reference, ContainerOverrides), and without one a session sees a GPU only
// on the hosts of a stack with session.perGpu.
func (s *study) checkRoom(f *faults.Faults) {
	host, n := capacity.InstanceTypes[s.hostType], len(s.users)
	if n > host.VCPUs {
		f.Addf("-users has %d; allowed: at most %d, the vCPUs of a %s, since AWS Batch reserves whole ones", n, host.VCPUs, s.hostType)
		return
	}
	share := s.share(n)
	if n*s.definition.GPUs > host.GPUs {
		f.Addf("%s is 1; allowed: at least %d, with %s at most %d and %s at most %d: now each session reserves %s, a %s has %d, "+
			"and a submission can't change that. Set these and deploy, or name fewer users",
			key("session.perGpu"), (n+host.GPUs-1)/host.GPUs, key("session.vcpus"), share.VCPUs, key("session.memoryMib"), share.MemoryMiB,
			capacity.Counted(s.definition.GPUs, "GPU"), s.hostType, host.GPUs)
		return
	}
	if width := s.stack.Ports.Width(); n > width {
		f.Addf("-users has %d; allowed: at most %d, the ports of the stack. It has a port for each session of a host: "+
			"with %s at most %d and %s at most %d it has %d", n, width, key("session.vcpus"), share.VCPUs, key("session.memoryMib"), share.MemoryMiB, n)
	}
}

// share returns the resources that each of some sessions reserves, so that they fill a host.
func (s *study) share(sessions int) launch.Resources {
	host := capacity.InstanceTypes[s.hostType]
	return launch.Resources{VCPUs: host.VCPUs / sessions, MemoryMiB: host.MemoryForContainers() / sessions}
}

// checkTimes checks that sessions measure often enough and last long enough.
func (s *study) checkTimes(f *faults.Faults) {
	usage, longest := s.definition.Usage, s.definition.Max
	switch {
	case usage == 0:
		f.Addf("%s is 0; allowed: at least 5, so that sessions measure something", key("session.usageSeconds"))
	case s.length < usage:
		f.Addf("-for is %s; allowed: at least %s, the time of a measurement (%s)", s.length, usage, key("session.usageSeconds"))
	}
	if all := s.warmUp + s.length; longest > 0 && all+time.Minute > longest {
		f.Addf("-warm-up and -for are %s; allowed: at most %s, a minute less than a session lasts (%s)", all, longest-time.Minute, key("session.maxMinutes"))
	}
}

// checkVacant checks that none of the users plays or waits.
func (s *study) checkVacant(ctx context.Context, f *faults.Faults) error {
	sessions, err := s.launcher.List(ctx, launch.ListOptions{})
	for _, session := range sessions {
		if slices.Contains(s.users, session.User) {
			f.Addf("%s has a session (%s, job %s); allowed: users without one. To end it: make session-end STACK=%s PLAYER=%s",
				session.User, session.State, session.JobID, s.stack.Stack, session.User)
		}
	}
	return err
}
