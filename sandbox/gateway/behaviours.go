package gateway

import (
	"net/http"
	"sync"
)

// Handler answers a call, with or without forwarding it. It returns a *Fault if AWS
// would refuse the call; any other error is the sandbox's own (502).
type Handler func(*Call) (*http.Response, error)

// Behaviour adds to moto, or replaces it, for some operations of one service.
type Behaviour struct {
	Name    string             // its calls are counted under this name on the health page, e.g. "ecr images"
	Service string             // as in Call; "*" for every service, with the operation "*" only
	Answers map[string]Handler // by operation in AWS's spelling; "*" for every operation
}

// behaviours returns the built-in ones. Of two for the same operation, the earlier
// gets the call first, and its Forward calls the later.
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
