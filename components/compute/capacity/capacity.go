package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
)

// Plan is the part of a configuration that the capacity of its hosts follows from.
type Plan struct {
	Types    []string // each once; those that are not in the table are left out
	Session  Need
	Ports    int                // that a host has for sessions; 0: enough
	MinVCPUs int                // of hosts of the first size that are held ready
	MaxVCPUs int                // of the hosts of each size
	Prices   map[string]float64 // by type, US dollars an hour, in place of the table's
}

// Of returns the capacity of each type of a plan, in the order in which AWS Batch
// prefers them: size by size, as these are first mentioned, since each has a compute
// environment of its own and a queue fills them in order; and within a size the lower
// price per vCPU first, which BEST_FIT_PROGRESSIVE prefers (AWS Batch user guide,
// "Instance type allocation strategies for AWS Batch"). Spot hosts, which come
// after these, are chosen by capacity that only AWS knows.
func Of(p Plan) []contract.HostCapacity {
	list := []contract.HostCapacity{}
	for i, types := range Sizes(p.Types) {
		first := len(list)
		for _, name := range types {
			list = append(list, p.of(name, i == 0))
		}
		slices.SortStableFunc(list[first:], func(a, b contract.HostCapacity) int { // all of a size have as many vCPUs
			return cmp.Compare(a.USDPerHour, b.USDPerHour)
		})
	}
	return list
}

// of returns the capacity of one type. Hosts are held ready of the first size only.
func (p Plan) of(name string, firstSize bool) contract.HostCapacity {
	t := InstanceTypes[name]
	sessions, limits := t.limits(p.Session, p.Ports)
	price, source := p.price(name)
	c := contract.HostCapacity{
		InstanceType: name, GPUModel: t.GPU.Model, GPUs: t.GPUs, GPUMemoryMiB: t.GPU.MiB,
		SessionsPerHost: sessions, Limits: limits, MaxSessions: p.MaxVCPUs / t.VCPUs * sessions,
		USDPerHour: price, Price: source,
	}
	if sessions > 0 {
		c.USDPerSessionHour = rounded(price / float64(sessions))
	}
	if firstSize {
		c.IdleUSDPerHour = rounded(price * float64((p.MinVCPUs+t.VCPUs-1)/t.VCPUs))
	}
	return c
}

// price returns the price of a type's host for an hour, and its source.
func (p Plan) price(name string) (usd float64, source string) {
	if usd, ok := p.Prices[name]; ok {
		return usd, ownPrice
	}
	return InstanceTypes[name].USD, ListPrice
}

// The sources of prices.
const (
	ListPrice = "list price, " + PriceRegion + ", " + PriceDate
	ownPrice  = "compute.prices"
)

// rounded returns an amount to the millionth of a dollar, so that it is short in JSON.
func rounded(usd float64) float64 { return math.Round(usd*1e6) / 1e6 }

// MaxSessions returns the most sessions that hosts of the types carry at once within a
// number of vCPUs.
func MaxSessions(types []string, need Need, vcpus int) int {
	most := 0
	for _, name := range types {
		if t, known := InstanceTypes[name]; known {
			most = max(most, vcpus/t.VCPUs*t.Sessions(need))
		}
	}
	return most
}

// MaxSessionsPerHost returns the most sessions that a host of any of the types carries,
// which is the width of the range of ports.
func MaxSessionsPerHost(types []string, need Need) int {
	most := 0
	for _, name := range types {
		if t, known := InstanceTypes[name]; known {
			most = max(most, t.Sessions(need))
		}
	}
	return most
}

// Cheapest returns the type of the table with the lowest list price among those that a
// session fits, or "" if it fits none.
func Cheapest(need Need) string {
	cheapest := ""
	for _, name := range Known() {
		t := InstanceTypes[name]
		if t.Sessions(need) > 0 && (cheapest == "" || t.USD < InstanceTypes[cheapest].USD) {
			cheapest = name
		}
	}
	return cheapest
}

// Sessions returns how many sessions a host of this type carries.
func (t InstanceType) Sessions(need Need) int {
	sessions, _ := t.limits(need, 0)
	return sessions
}

// Missing returns the amounts that a host lacks for one session, in words: "1 vCPU",
// "468 MiB". It returns none if a session fits.
func (t InstanceType) Missing(need Need) []string {
	var missing []string
	for _, s := range t.shares(need) {
		if lacks := s.takes - s.has; lacks > 0 {
			missing = append(missing, s.inWords(lacks))
		}
	}
	return missing
}

// share is the part of one resource of a host that a session takes.
type share struct {
	resource   string
	has, takes int
}

func (s share) inWords(amount int) string {
	if s.resource == contract.LimitMemory {
		return fmt.Sprint(amount, " MiB")
	}
	return Counted(amount, strings.TrimSuffix(s.resource, "s"))
}

func (t InstanceType) shares(need Need) []share {
	return []share{
		{contract.LimitVCPUs, t.VCPUs, max(need.VCPUs, 1)},
		{contract.LimitMemory, t.MemoryForContainers(), max(need.MemoryMiB, 1)},
		{contract.LimitGPUs, t.GPUs, need.GPUs},
	}
}

// limits returns the sessions that a host carries, and the resources that have no room
// for another one. ports is the number of ports for sessions; 0: enough.
func (t InstanceType) limits(need Need, ports int) (sessions int, resources []string) {
	shares := t.shares(need)
	if ports > 0 {
		shares = append(shares, share{contract.LimitPorts, ports, 1})
	}
	sessions = math.MaxInt
	for _, s := range shares {
		if s.takes == 0 {
			continue
		}
		switch n := s.has / s.takes; {
		case n < sessions:
			sessions, resources = n, []string{s.resource}
		case n == sessions:
			resources = append(resources, s.resource)
		}
	}
	return sessions, resources
}
