package gateway

import (
	"encoding/json"
	"net/http"
)

// GrantsPath is the page of used grants: a JSON object with the number of times that
// each policy allowed an action since the start, by "POLICY ACTION". A policy's name
// is its ARN, or its name if it is an inline policy.
const GrantsPath = OwnPages + "grants"

// GrantsPage serves GrantsPath.
func (r *Rights) GrantsPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.used.all()) // it fails only if the client is gone
}

// use counts an allowed need for each policy that allows it by itself.
func (r *Rights) use(policies []policy, n need) {
	for _, p := range policies {
		if so, err := decide([]policy{p}, n); err == nil && so == allowed {
			r.used.add(p.name + " " + n.action)
		}
	}
}
