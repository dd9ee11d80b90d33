// Package gateway is the sandbox's one AWS endpoint: a reverse proxy in front
// of the moto server. What moto does well passes through unchanged; what it
// forgets or cannot do is a behaviour, one a file, listed in behaviours.go.
//
// It keeps what it knows in memory, as moto does: both begin and end together.
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

// Config is what a gateway needs to know.
type Config struct {
	Upstream *url.URL  // the moto server, e.g. http://127.0.0.1:5000 or a local.SocketURL; its path is not used
	Registry string    // the local image registry that stands behind ECR, e.g. "127.0.0.1:5001"
	StartID  string    // which start of the sandbox this is; told by the health page
	Log      io.Writer // one line a fault; default: none

	// Models are AWS's own of its services, which every call is checked against;
	// nil: none is.
	Models *awsmodel.Models

	// Behaviours are asked before the built-in ones: how a part of the sandbox
	// that is too large for a file here (the Batch host) takes its calls.
	Behaviours []Behaviour

	// ObjectChanged is told of every object that was made or deleted in a bucket
	// that sends its events to EventBridge; nil: nobody is.
	ObjectChanged func(ObjectChange)

	// Pages are the sandbox's own beside the health page, by path. No AWS service
	// has a path that begins with "/_".
	Pages map[string]http.HandlerFunc

	// AccessKey is the administrator's, without which no page under OwnPages is
	// served.
	AccessKey string
}

// Gateway is the AWS endpoint. It is safe for concurrent use.
type Gateway struct {
	config   Config
	handlers map[string][]counted // by "service.operation" in lower case, "*" for any
	calls    counter              // every AWS call, by "service.Operation"
	answered counter              // calls that a behaviour took part in, by its name
	refused  counter              // calls that violate AWS's model, by "service.Operation: refusal"
	moto     http.RoundTripper
	proxy    *httputil.ReverseProxy
	guarded  http.Handler
	log      *log.Logger
}

// New makes a gateway. It refuses a Config without Upstream or Registry.
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

// toMoto is the way to moto. Answers are read and changed, so they must come as
// they are.
func toMoto() *http.Transport {
	t := local.Transport()
	t.DisableCompression, t.MaxIdleConnsPerHost, t.IdleConnTimeout = true, 64, time.Minute
	return t
}

// counted is a handler with the name under which its calls are counted.
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

// handlerKey ignores case: REST paths spell operations in lower case.
func handlerKey(service, operation string) string { return strings.ToLower(service + "." + operation) }

// ServeHTTP answers one AWS call, or one of the sandbox's own pages; nothing that
// a web page asks for.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.guarded.ServeHTTP(w, r) }

// OwnPages is the path of the sandbox's own pages, which no AWS service uses. They
// are the administrator's.
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

// rewrite turns a call to the gateway into one to moto. Host and query stay as
// they came: moto builds addresses (SQS queues) from the one, and the proxy
// would drop what it cannot parse of the other.
func (g *Gateway) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = g.config.Upstream.Scheme, g.config.Upstream.Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	p.Out.Host = p.In.Host
	p.Out.Header.Del("Accept-Encoding")
	p.Out.Header.Del("Expect") // answered here; moto must not be waited for
}

// answer leads a call through the behaviours that want it, and on to moto.
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

// distance is how far AWS is at least. Its SDKs for Go can't bear less: they
// close a request's body as soon as there is an answer, and where net/http has
// not looked for the body's end by then, it takes that for a failed request and
// closes the connection under the answer ("use of closed network connection";
// smithy-go, safeWriteToReadCloser.WriteTo). A small answer survives it, because
// it is written at once and so read at once.
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

// render makes an answer of the errors that AWS has answers for.
func (g *Gateway) render(c *Call, res *http.Response, err error) (*http.Response, error) {
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

// unanswered says that moto or the registry failed. AWS clients try a 502 again.
func (g *Gateway) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		g.log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	http.Error(w, "sandbox gateway: "+err.Error(), http.StatusBadGateway)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
