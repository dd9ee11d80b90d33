package gateway

import (
	"encoding/json"
	"net/http"
)

// GrantsPath is the page of the grants that were used: JSON, how often each policy
// has allowed an action since the start, by "POLICY ACTION". A policy is named by
// its ARN, or by its name if it is one role's own.
const GrantsPath = OwnPages + "grants"

// GrantsPage serves GrantsPath.
func (r *Rights) GrantsPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.used.all()) // whoever asked has gone, else
}

// use counts an allowed need for each policy that allows it by itself.
func (r *Rights) use(policies []policy, n need) {
	for _, p := range policies {
		if so, err := decide([]policy{p}, n); err == nil && so == allowed {
			r.used.add(p.name + " " + n.action)
		}
	}
}
