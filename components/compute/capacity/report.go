package capacity

import (
	"fmt"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
)

// Report is the capacity of a stack for people.
type Report struct {
	Hosts       []contract.HostCapacity // as Of returns them
	MaxSessions int                     // at once, on hosts of all sizes and Spot hosts
	Spot        bool                    // there are Spot hosts
	Region      string                  // of the stack; "": not known
}

// Table returns a row of texts for each instance type, after one with the columns'
// names. A session that is alone on its host costs as much as the host.
func (r Report) Table() [][]string {
	rows := [][]string{{"instance type", "GPUs", "sessions per host", "limited by",
		"session-hour alone", "on a full host", "held ready, an hour", "most sessions"}}
	for _, h := range r.Hosts {
		full, ready := "none fits", "none"
		if h.SessionsPerHost > 0 {
			full = dollars(h.USDPerSessionHour)
		}
		if h.IdleUSDPerHour > 0 {
			ready = dollars(h.IdleUSDPerHour)
		}
		rows = append(rows, []string{
			h.InstanceType, fmt.Sprintf("%d %s, %d MiB", h.GPUs, h.GPUModel, h.GPUMemoryMiB), fmt.Sprint(h.SessionsPerHost), strings.Join(h.Limits, ", "),
			dollars(h.USDPerHour), full, ready, fmt.Sprint(h.MaxSessions),
		})
	}
	return rows
}

func dollars(usd float64) string { return fmt.Sprintf("$%.4f", usd) }

// Notes returns sentences that belong to the table: the order of the types, the most
// sessions in all, and the sources of the prices.
func (r Report) Notes() []string {
	if len(r.Hosts) == 0 {
		return nil
	}
	first, most := "AWS Batch starts "+r.Hosts[0].InstanceType+" first", "on hosts of all sizes"
	if len(r.Hosts) > 1 {
		first += ", and the others in this order when it gets none of it"
	}
	if r.Spot {
		first += "; Spot hosts come last, of the type with the most spare capacity"
		most += " and Spot hosts"
	}
	return append([]string{first + ".", fmt.Sprintf("At most %d sessions at once, %s.", r.MaxSessions, most)}, r.prices()...)
}

func (r Report) prices() []string {
	var own, listed []string
	for _, h := range r.Hosts {
		if h.Price == ownPrice {
			own = append(own, h.InstanceType)
		} else {
			listed = append(listed, h.InstanceType)
		}
	}
	var list []string
	if own != nil {
		list = append(list, "Prices of "+strings.Join(own, ", ")+": "+ownPrice+".")
	}
	if listed != nil {
		list = append(list, "Prices of "+strings.Join(listed, ", ")+": AWS's list prices of "+PriceRegion+" on "+PriceDate+
			", for Linux on demand, of instances alone; check them before you rely on them.")
		if r.Region != "" && r.Region != PriceRegion {
			list = append(list, "The stack is in "+r.Region+", where prices differ: set them in "+ownPrice+".")
		}
	}
	return list
}
