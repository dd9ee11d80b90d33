package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"sync"
)

// HealthPath is the path of the health page.
const HealthPath = OwnPages + "health"

// Health is the JSON of the health page. Counts begin at the start.
type Health struct {
	StartID    string         `json:"startId"`
	Calls      map[string]int `json:"calls"`      // AWS calls by "service.Operation"
	Behaviours map[string]int `json:"behaviours"` // calls of each behaviour, by its name
	Refusals   map[string]int `json:"refusals"`   // calls that AWS's model of the service forbids, by "service.Operation: Code: message"
}

func (g *Gateway) health(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(Health{g.config.StartID, g.calls.all(), g.answered.all(), g.refused.all()}); err != nil {
		g.log.Printf("health page: %v", err)
	}
}

// counter counts by name.
type counter struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int{}
	}
	c.count[name]++
}

func (c *counter) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.count)
}
