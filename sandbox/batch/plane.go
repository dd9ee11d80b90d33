package batch

import (
	"cmp"
	"slices"
)

// Plane is moto's control plane as it was last read.
type Plane struct {
	Queues       []Queue
	Environments []Environment
}

// queues are all of them, those of higher priority first.
func (p Plane) queues() []Queue {
	sorted := slices.Clone(p.Queues)
	slices.SortStableFunc(sorted, func(a, b Queue) int { return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ARN, b.ARN)) })
	return sorted
}

func (p Plane) environment(arn string) (Environment, bool) {
	i := slices.IndexFunc(p.Environments, func(e Environment) bool { return e.ARN == arn })
	if i < 0 {
		return Environment{}, false
	}
	return p.Environments[i], true
}

// of are a queue's environments in their order.
func (p Plane) of(q Queue) []Environment {
	var list []Environment
	for _, arn := range q.Environments {
		if e, there := p.environment(arn); there {
			list = append(list, e)
		}
	}
	return list
}

// enabled are those of them that place jobs.
func (p Plane) enabled(q Queue) []Environment {
	return slices.DeleteFunc(p.of(q), func(e Environment) bool { return !e.Enabled })
}
