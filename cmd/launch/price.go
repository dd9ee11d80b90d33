package main

// price is the list price of a session's hour.
type price struct {
	USDPerHour float64 // 0: not known
	Basis      string  // what it is the price of, or why it is not known
}

// price returns the price that the caller gives, or that of the stack's outputs.
func (in *invocation) price() price {
	if in.usdPerHour > 0 {
		return price{in.usdPerHour, "as --usd-per-hour says"}
	}
	return price{Basis: "for its cost, give the price with --usd-per-hour"}
}
