package batch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// HostsPath is the page of the hosts: GET lists them, POST with ?take=ID takes
// one away; without an id, one on which something runs.
const HostsPath = "/_sandbox/hosts"

// HostsPage serves HostsPath.
func (s *Service) HostsPage(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if err := s.scheduler.TakeHost(s.chosen(r.URL.Query().Get("take"))); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.scheduler.Hosts()); err != nil {
		s.scheduler.config.Logf("hosts page: %v", err)
	}
}

func (s *Service) chosen(id string) string {
	if id != "" {
		return id
	}
	for _, h := range s.scheduler.Hosts() {
		if len(h.Jobs) > 0 {
			return h.ID
		}
	}
	return ""
}

// ReadHosts returns the hosts of a local AWS.
func ReadHosts(ctx context.Context, cloud *local.Cloud) (list []HostState, err error) {
	err = cloud.GetJSON(ctx, HostsPath, &list)
	return list, err
}

// TakeHost takes a host of a local AWS away, with everything that runs on it, as a
// Spot reclaim does. It returns the remaining ones. Without an id, it takes one on which
// something runs.
func TakeHost(ctx context.Context, cloud *local.Cloud, id string) (left []HostState, err error) {
	res, err := cloud.Request(ctx, http.MethodPost, HostsPath+"?"+url.Values{"take": {id}}.Encode())
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	err = json.NewDecoder(res.Body).Decode(&left)
	return left, err
}
