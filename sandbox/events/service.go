package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Config configures a Service.
type Config struct {
	Moto *url.URL // with the rules, topics and queues

	// Grants returns an error unless a role lets EventBridge take an action on a
	// resource. It is called if a target names a role.
	Grants func(ctx context.Context, roleARN, service, action, resource string) error

	// Admits returns an error unless the policy of a topic or a queue lets
	// EventBridge take an action on it for a source, a rule's ARN. It is called if a
	// target names no role, and for dead-letter queues.
	Admits func(ctx context.Context, service, source, action, resource string) error

	// FirstRetry is the wait before the first retry. Each later wait is twice as
	// long as the last, up to 40 times FirstRetry.
	FirstRetry time.Duration

	Now   func() time.Time
	NewID func() string // a UUID
	Logf  func(format string, args ...any)
}

// Service is EventBridge. It is safe for concurrent use.
type Service struct {
	config  Config
	moto    moto
	send    func(context.Context, *delivery) *failure // attempts a delivery once
	bury    func(context.Context, *delivery) error    // sends the event to the dead-letter queue
	arrived chan arrival
	http    http.Client // for API destinations; connects to this machine only

	mu     sync.Mutex
	keys   map[string]apiKey   // by the ARN of a connection
	hosts  map[string]*url.URL // addresses on this machine, by the host of an endpoint
	recent []Outcome           // the oldest first
	faults []string            // the oldest first
}

// arrival is an event that was published to the default bus, the only one in use.
type arrival struct {
	event    Event
	received time.Time
}

// New returns a Service, which delivers events while Run runs.
func New(config Config) *Service {
	s := &Service{
		config: config, moto: newMoto(config.Moto),
		arrived: make(chan arrival, 64), keys: map[string]apiKey{}, hosts: map[string]*url.URL{},
		http: http.Client{
			Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true, DialContext: dialLoopback},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.send, s.bury = s.sendOnce, s.deadLetter
	return s
}

// dialLoopback refuses addresses of other machines, whatever an endpoint was mapped
// to.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	if err := onThisMachine(address); err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func onThisMachine(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("%s is not on this machine", address)
	}
	return nil
}

// Publish publishes an event to the default bus. Run delivers it.
func (s *Service) Publish(e Event) { s.arrived <- arrival{e, s.config.Now()} }

// Run delivers published events until the context ends, and abandons the rest.
func (s *Service) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-s.arrived:
			under.Go(func() { s.route(ctx, a) })
		}
	}
}

// route delivers an event to each target of each rule that matches.
func (s *Service) route(ctx context.Context, a arrival) {
	rules, err := s.moto.rules(ctx)
	if err != nil {
		s.fault("the rules can't be read, the event %s (%s) is lost: %v", a.event.ID, a.event.DetailType, err)
		return
	}
	var under sync.WaitGroup
	defer under.Wait()
	for _, rule := range rules {
		if !enabled(rule) {
			continue
		}
		pattern, err := ParsePattern(aws.ToString(rule.EventPattern))
		if err != nil {
			s.fault("rule %s is left out, its pattern is not understood: %v", *rule.Name, err)
			continue
		}
		if !pattern.Matches(a.event) {
			continue
		}
		targets, err := s.moto.targets(ctx, rule.Name)
		if err != nil {
			s.fault("the targets of rule %s can't be read: %v", *rule.Name, err)
			continue
		}
		for _, target := range targets {
			under.Go(func() { s.deliver(ctx, &delivery{event: a.event, received: a.received, rule: rule, target: target}) })
		}
	}
}

// fault writes a fault to the page and to the log.
func (s *Service) fault(format string, args ...any) {
	said := fmt.Sprintf(format, args...)
	s.config.Logf("%s", said)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, said)
	s.faults = s.faults[max(0, len(s.faults)-kept):]
}

// kept is the number of deliveries and of faults on the page.
const kept = 200

// DeliverTo sets the address on this machine that gets the calls for the host of an
// API destination's endpoint. Calls to all other hosts are refused: the sandbox never
// connects to another machine.
func (s *Service) DeliverTo(host, address string) error {
	to, err := url.Parse(address)
	if err == nil && (to.Scheme != "http" || strings.Trim(to.Path, "/") != "" || to.RawQuery != "") {
		err = errors.New("more than an address")
	}
	if err == nil {
		err = onThisMachine(to.Host)
	}
	if err != nil {
		return fmt.Errorf("to is %q (%w): an address of this machine with its port is allowed, e.g. http://127.0.0.1:8080", address, err)
	}
	if host == "" || strings.ContainsAny(host, "/?#@") {
		return fmt.Errorf("host is %q: the host of an API destination's endpoint is allowed, e.g. api.example.com", host)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[strings.ToLower(host)] = to
	return nil
}

// Outcome is the state of a delivery.
type Outcome struct {
	Event      string // its id
	DetailType string
	Rule       string
	Target     string // an ARN
	Attempts   int
	State      string // delivering, retrying, delivered, dead letter or lost
	Error      string `json:",omitempty"` // of the last attempt
}

// Status is the JSON of the page.
type Status struct {
	Deliveries []Outcome         // the newest last
	Faults     []string          // rules that were not understood or could not be read, the newest last
	DeliverTo  map[string]string // addresses on this machine, by host
}

// Path is the page of deliveries: GET returns Status; POST with ?host=HOST&to=URL is
// DeliverTo.
const Path = "/_sandbox/events"

// Page serves Path.
func (s *Service) Page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if err := s.DeliverTo(r.URL.Query().Get("host"), r.URL.Query().Get("to")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.Status()); err != nil {
		s.config.Logf("events page: %v", err)
	}
}

// Status returns the latest deliveries and faults.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Status{Deliveries: append([]Outcome{}, s.recent...), Faults: append([]string{}, s.faults...), DeliverTo: map[string]string{}}
	for host, to := range s.hosts {
		all.DeliverTo[host] = to.String()
	}
	return all
}

// record stores a delivery's state for the page.
func (s *Service) record(d *delivery, state string) {
	o := Outcome{Event: d.event.ID, DetailType: d.event.DetailType, Rule: *d.rule.Name, Target: *d.target.Arn, Attempts: d.attempts, State: state}
	if d.failed != nil {
		o.Error = d.failed.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.recent, func(r Outcome) bool { return r.Event == o.Event && r.Rule == o.Rule && r.Target == o.Target })
	if i >= 0 {
		s.recent[i] = o
		return
	}
	s.recent = append(s.recent, o)
	s.recent = s.recent[max(0, len(s.recent)-kept):]
}
