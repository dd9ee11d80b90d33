package gateway

import (
	"net/http"
	"sync"
)

// Handler answers a call, with or without passing it on. It returns a *Fault
// where AWS would refuse; any other error is the sandbox's own (502).
type Handler func(*Call) (*http.Response, error)

// Behaviour is something that moto lacks: what the gateway does on top of it,
// or in its place, for some operations of one service.
type Behaviour struct {
	Name    string             // counted by the health page, e.g. "ecr images"
	Service string             // as in Call; "*" for every service, with the operation "*" only
	Answers map[string]Handler // by operation in AWS's spelling; "*" for every operation
}

// behaviours are the built-in ones. Of two that want the same operation, the
// earlier is asked first and the later by its Forward.
func behaviours(config Config) []Behaviour {
	var eventBridge sync.Map // the buckets that send their events there
	return []Behaviour{
		ecrAddresses(config.Registry),
		ecrImages(config.Registry),
		batchKept(),
		ec2LaunchTemplates(),
		ec2InstanceGroups(),
		s3Notifications(&eventBridge),
		s3Objects(&eventBridge, config.ObjectChanged),
		s3Policies(),
		budgetsKept(),
		batchServiceRole(config.Upstream),
	}
}
