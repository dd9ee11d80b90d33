package main

import "fmt"

// price is the list price of a session's hour.
type price struct {
	USDPerHour float64 // 0: not known
	Basis      string  // the host that it is a share of, or why it is not known
}

// price returns the price that the caller gives or, of the stack's outputs, that of a
// session on a full host of the type that AWS Batch prefers. Which host a session had is
// in no event, and its share of one that is not full depends on the others.
func (in *invocation) price() price {
	if in.usdPerHour > 0 {
		return price{in.usdPerHour, "--usd-per-hour"}
	}
	if len(in.stack.Capacity) == 0 || in.stack.Capacity[0].SessionsPerHost == 0 {
		return price{Basis: "for its cost, name a price with --usd-per-hour: the stack's outputs have none"}
	}
	host := in.stack.Capacity[0]
	return price{host.USDPerSessionHour, fmt.Sprintf("a full %s (%d at once), %s", host.InstanceType, host.SessionsPerHost, host.Price)}
}
