package batch

import (
	"context"
	"strings"
	"time"
)

// VCPUs is a number of vCPUs of running hosts. Class is of EC2's quotas: "G/OnDemand",
// "G/Spot" (Amazon EC2 user guide, "EC2 usage metrics").
type VCPUs struct {
	Class string
	Count int
	At    time.Time
}

// usageEvery is how often the hosts' vCPUs are counted. AWS does every 5 minutes.
const usageEvery = 15 * time.Second

// CountVCPUs calls a function with the vCPUs of the running hosts of each class that has
// or had some, until the context ends.
func (s *Service) CountVCPUs(ctx context.Context, counted func(VCPUs)) {
	every := time.NewTicker(usageEvery)
	defer every.Stop()
	seen := map[string]bool{}
	for {
		now := s.scheduler.vcpus()
		for class := range now {
			seen[class] = true
		}
		for class := range seen {
			counted(VCPUs{class, now[class], s.scheduler.config.Now()})
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// vcpus counts by class.
func (s *Scheduler) vcpus() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[string]int{}
	for _, h := range s.hosts {
		if h.running {
			e, _ := s.plane.environment(h.EnvironmentARN)
			count[class(h.Type.Name, e.Strategy)] += h.Type.VCPUs
		}
	}
	return count
}

// class returns the quota's class of an instance type.
func class(instanceType, strategy string) string {
	family := "Standard"
	switch {
	case strings.HasPrefix(instanceType, "g"), strings.HasPrefix(instanceType, "vt"):
		family = "G"
	case strings.HasPrefix(instanceType, "p"):
		family = "P"
	}
	if strings.HasPrefix(strategy, "SPOT_") {
		return family + "/Spot"
	}
	return family + "/OnDemand"
}
