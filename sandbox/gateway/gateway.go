// Package gateway is the sandbox's one AWS endpoint: a reverse proxy in front of the
// moto server. Each file is a behaviour that corrects or replaces some of moto's
// operations; behaviours.go lists them. Other calls pass unchanged.
//
// Its state is in memory, as moto's is: both begin and end together.
package gateway

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/awsmodel"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Config configures a gateway.
type Config struct {
	Upstream *url.URL  // the moto server, e.g. http://127.0.0.1:5000 or a local.SocketURL; without a path
	Registry string    // the local image registry, e.g. "127.0.0.1:5001"
	StartID  string    // identifies this start of the sandbox on the health page
	Log      io.Writer // gets a line for each fault; default: none

	// Models are AWS's API models, against which every call is checked; nil: no call
	// is checked.
	Models *awsmodel.Models

	// Behaviours get calls before the built-in ones. They are the parts of the
	// sandbox that are too large for a file here, such as the Batch host.
	Behaviours []Behaviour

	// ObjectChanged is called for every object that was created or deleted in a
	// bucket that sends its events to EventBridge; it may be nil.
	ObjectChanged func(ObjectChange)

	// Pages are the sandbox's own pages beside the health page, by path. No AWS
	// service has a path that begins with "/_".
	Pages map[string]http.HandlerFunc

	// AccessKey is the administrator's. Pages under OwnPages are served to it only.
	AccessKey string
}

// Gateway is the AWS endpoint. It is safe for concurrent use.
type Gateway struct {
	config   Config
	handlers map[string][]counted // by "service.operation" in lower case, "*" for any
	calls    counter              // every AWS call, by "service.Operation"
	answered counter              // calls of each behaviour, by its name
	refused  counter              // calls that AWS's model forbids, by "service.Operation: refusal"
	moto     http.RoundTripper
	proxy    *httputil.ReverseProxy
	guarded  http.Handler
	log      *log.Logger
}

// New returns a gateway. Upstream and Registry are required.
func New(config Config) (*Gateway, error) {
	if config.Upstream == nil || config.Upstream.Host == "" {
		return nil, errors.New("gateway: Upstream is missing: the moto server's URL")
	}
	if config.Registry == "" {
		return nil, errors.New("gateway: Registry is missing: the local registry's HOST:PORT")
	}
	if config.Log == nil {
		config.Log = io.Discard
	}
	g := &Gateway{
		config:   config,
		handlers: map[string][]counted{},
		moto:     toMoto(),
		log:      log.New(config.Log, "gateway: ", log.LstdFlags),
	}
	g.guarded = local.RefusePages(http.HandlerFunc(g.serve))
	g.proxy = &httputil.ReverseProxy{
		Rewrite:      g.rewrite,
		Transport:    roundTrip(g.answer),
		ErrorHandler: g.unanswered,
		ErrorLog:     g.log,
	}
	all := config.Behaviours
	if config.Models != nil {
		all = append(slices.Clip(all), modelChecked(config.Models, &g.refused, g.log))
	}
	for _, b := range append(slices.Clip(all), behaviours(config)...) {
		g.register(b)
	}
	return g, nil
}

// toMoto returns the transport to moto. It asks for no compression, because answers
// are read and changed.
func toMoto() *http.Transport {
	t := local.Transport()
	t.DisableCompression, t.MaxIdleConnsPerHost, t.IdleConnTimeout = true, 64, time.Minute
	return t
}

// counted is a handler with the name of its counter.
type counted struct {
	name   string
	handle Handler
}

func (g *Gateway) register(b Behaviour) {
	for operation, handle := range b.Answers {
		key := handlerKey(b.Service, operation)
		g.handlers[key] = append(g.handlers[key], counted{b.Name, handle})
	}
}

// handlerKey ignores case: REST paths have operations in lower case.
func handlerKey(service, operation string) string { return strings.ToLower(service + "." + operation) }

// ServeHTTP answers an AWS call or serves one of the sandbox's own pages. It refuses
// requests of web pages.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.guarded.ServeHTTP(w, r) }

// OwnPages is the path of the sandbox's own pages, which no AWS service uses. Only
// the administrator gets them.
const OwnPages = "/_sandbox/"

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, OwnPages) && subtle.ConstantTimeCompare([]byte(accessKey(r)), []byte(g.config.AccessKey)) != 1 {
		http.Error(w, "sandbox: this page is the administrator's: its access key is missing in the Authorization header", http.StatusForbidden)
		return
	}
	if r.URL.Path == HealthPath {
		g.health(w)
		return
	}
	if page, there := g.config.Pages[r.URL.Path]; there {
		page(w, r)
		return
	}
	g.proxy.ServeHTTP(w, r)
}

// rewrite redirects a call to moto. Host and query stay as they are: moto makes
// addresses (SQS queues) of the host, and the proxy would drop parts of the query
// that it cannot parse.
func (g *Gateway) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = g.config.Upstream.Scheme, g.config.Upstream.Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	p.Out.Host = p.In.Host
	p.Out.Header.Del("Accept-Encoding")
	p.Out.Header.Del("Expect") // answered here, without waiting for moto
}

// answer passes a call through its behaviours to moto.
func (g *Gateway) answer(r *http.Request) (*http.Response, error) {
	c, err := identify(r)
	if err != nil {
		return nil, err
	}
	g.calls.add(c.Service + "." + c.Operation)
	c.moto = g.moto
	c.rest = g.chain(c)
	res, err := c.Forward()
	time.Sleep(distance)
	return g.render(c, res, err)
}

// distance is the shortest time in which the gateway answers. AWS's SDKs for Go close
// a request's body as soon as there is an answer. If net/http has not seen the body's
// end by then, it treats the request as failed and closes the connection under the
// answer ("use of closed network connection"; smithy-go,
// safeWriteToReadCloser.WriteTo). A small answer survives, because it is read at
// once.
const distance = 20 * time.Millisecond

func (g *Gateway) chain(c *Call) []Handler {
	var chain []Handler
	for _, key := range []string{"*.*", handlerKey(c.Service, "*"), handlerKey(c.Service, c.Operation)} {
		for _, h := range g.handlers[key] {
			chain = append(chain, func(c *Call) (*http.Response, error) {
				g.answered.add(h.name)
				return h.handle(c)
			})
		}
	}
	return chain
}

// render turns faults and refusals into answers, in the call's protocol.
func (g *Gateway) render(c *Call, res *http.Response, err error) (*http.Response, error) {
	res, err = rendered(c, res, err)
	if err == nil && c.cbor {
		return toCBOR(res)
	}
	return res, err
}

func rendered(c *Call, res *http.Response, err error) (*http.Response, error) {
	var fault *Fault
	var refused *refusal
	switch {
	case errors.As(err, &fault):
		return fault.response(c), nil
	case errors.As(err, &refused):
		return refused.res, nil
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", c.Service, c.Operation, err)
	}
	return res, nil
}

// unanswered answers that moto or the registry failed. AWS's clients retry a 502.
func (g *Gateway) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		g.log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	http.Error(w, "sandbox gateway: "+err.Error(), http.StatusBadGateway)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
