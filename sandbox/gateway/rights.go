package gateway

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Rights decides calls with a role's temporary credentials by the role's policies,
// which moto stores and does not apply. The administrator's calls pass.
//
// Signatures are not checked: an access key alone has its rights.
type Rights struct {
	// JobTags returns a Batch job's tags, for policies with conditions on them; nil:
	// no job has tags. Set it before the first call.
	JobTags func(jobID string) map[string]string

	// AccessKey is the administrator's; "": there is none. Set it before the first
	// call.
	AccessKey string

	moto *url.URL
	used counter // actions that a policy allowed, by "POLICY ACTION"

	mu       sync.Mutex
	sessions map[string]session // by access key
	opened   map[string]string  // the aws:userid of each Session Manager session, by its id
	roles    map[string]*role   // by ARN
	changes  int                // counts the calls that may have changed IAM
}

// Credentials are a role's temporary credentials.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
	RoleARN                                    string
}

// session is a caller: a role under a session's name, or the administrator. userID is
// AWS's aws:userid: "ROLE-ID:SESSION-NAME" of a role, else the account.
type session struct{ arn, roleARN, userID string }

var administrator = session{arn: "arn:aws:iam::" + local.Account + ":root", userID: local.Account}

// role is a role of IAM. Its trust policy is parsed only when it is needed, so that
// unknown parts of it do not affect the role's own calls.
type role struct {
	arn      string
	trust    string
	policies []policy
	boundary *policy // its permissions boundary; nil without one
}

// decision is the verdict of a role's policies on a need, and that of its permissions
// boundary, which is allowed if the role has none. A need is allowed if both allow it
// (IAM user guide, "Permissions boundaries for IAM entities").
type decision struct{ identity, boundary verdict }

// refusal returns AWS's reason (IAM user guide, "Troubleshoot access denied error
// messages"); "" if the need is allowed.
func (d decision) refusal(action string) string {
	switch {
	case d.identity == denied:
		return " with an explicit deny in an identity-based policy"
	case d.boundary == denied:
		return " with an explicit deny in a permissions boundary"
	case d.identity == unsaid:
		return fmt.Sprintf(" because no identity-based policy allows the %s action", action)
	case d.boundary == unsaid:
		return fmt.Sprintf(" because no permissions boundary allows the %s action", action)
	}
	return ""
}

// keyed returns a need with the condition keys of a session of the role.
func (r *role) keyed(n need, userID string) need {
	n.keys = maps.Clone(n.keys)
	if n.keys == nil {
		n.keys = map[string]string{}
	}
	n.keys["aws:principalarn"], n.keys["aws:userid"] = r.arn, userID
	return n
}

// decide returns the role's decision on a need.
func (r *role) decide(n need) (so decision, err error) {
	so.boundary = allowed
	if so.identity, err = decide(r.policies, n); err == nil && r.boundary != nil {
		so.boundary, err = decide([]policy{*r.boundary}, n)
	}
	if err != nil {
		return decision{}, undecided(r.arn, err)
	}
	return so, nil
}

// NewRights returns Rights over the IAM and STS of a moto server.
func NewRights(moto *url.URL) *Rights {
	return &Rights{moto: moto, sessions: map[string]session{}, opened: map[string]string{}, roles: map[string]*role{}}
}

// Behaviour returns the check of rights, which every call passes first.
func (r *Rights) Behaviour() Behaviour {
	return Behaviour{Name: "rights", Service: "*", Answers: map[string]Handler{"*": r.check}}
}

// Issue returns temporary credentials of a role for an AWS service, e.g.
// "ecs-tasks.amazonaws.com". If the role does not exist or does not trust the
// service, the error is a *Fault with the code AccessDenied.
func (r *Rights) Issue(ctx context.Context, roleARN, service string) (Credentials, error) {
	how, err := r.trusts(ctx, roleARN, principal{service: service})
	if err != nil {
		return Credentials{}, err
	}
	if how != byName {
		return Credentials{}, accessDenied("%s can't assume the role %s: its trust policy does not admit this service", service, roleARN)
	}
	sessionName, _, _ := strings.Cut(service, ".")
	given, err := r.ask(ctx, "sts", "AssumeRole", "RoleArn", roleARN, "RoleSessionName", sessionName)
	if err != nil {
		return Credentials{}, err
	}
	return r.remember(given, roleARN)
}

// Grants returns an error unless an AWS service may take an action on a resource as a
// role: the role has to trust the service, and its policies have to allow the action.
func (r *Rights) Grants(ctx context.Context, roleARN, service, action, resource string) error {
	how, err := r.trusts(ctx, roleARN, principal{service: service})
	if err != nil {
		return err
	}
	if how != byName {
		return accessDenied("%s can't assume the role %s: its trust policy does not admit this service", service, roleARN)
	}
	own, err := r.role(ctx, roleARN)
	if err != nil {
		return err
	}
	n := own.keyed(need{action: action, resource: resource}, "")
	so, err := own.decide(n)
	if err != nil {
		return err
	}
	if so.refusal(action) != "" {
		return accessDenied("the role %s is not authorized to perform: %s on resource: %s", roleARN, action, resource)
	}
	r.use(own.policies, n)
	return nil
}

func accessDenied(format string, args ...any) *Fault {
	return &Fault{http.StatusForbidden, "AccessDenied", fmt.Sprintf(format, args...)}
}

// check forwards a call or refuses it.
func (r *Rights) check(c *Call) (*http.Response, error) {
	who, err := r.caller(c)
	if err != nil {
		return nil, err
	}
	if changesIAM(c) { // even if it fails: roles that were read before may be stale
		defer r.forget()
	}
	switch {
	case calls(c, "sts", "GetCallerIdentity"): // no policy can deny it
	case calls(c, "sts", "AssumeRole"):
		return r.assume(c, who)
	case who != administrator:
		if err := r.decide(c, who); err != nil {
			return nil, err
		}
	}
	return c.Forward()
}

func calls(c *Call, service, operation string) bool {
	return handlerKey(c.Service, c.Operation) == handlerKey(service, operation)
}

// caller returns the session of a call.
func (r *Rights) caller(c *Call) (session, error) {
	key := accessKey(c.Request)
	switch key {
	case "":
		return session{}, &Fault{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	case r.AccessKey:
		return administrator, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	who, known := r.sessions[key]
	if !known {
		return session{}, invalidKey(c)
	}
	return who, nil
}

// accessKey returns the access key in the signature's scope.
func accessKey(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, after, found := strings.Cut(r.Header.Get("Authorization"), "Credential="); found {
		credential = after
	}
	key, _, _ := strings.Cut(strings.TrimSpace(credential), "/")
	return key
}

// changesIAM reports whether a call may change IAM, by its name: all operations
// change something except these.
func changesIAM(c *Call) bool {
	reads := func(verb string) bool { return strings.HasPrefix(c.Operation, verb) }
	return c.Service == "iam" && !slices.ContainsFunc([]string{"Get", "List", "Simulate", "Generate"}, reads)
}

// forget discards the roles that were read, and those that are being read.
func (r *Rights) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	clear(r.roles)
}

// wording is a protocol's way to refuse.
type wording struct {
	status             int // of a denial
	denied, invalidKey string
}

// ownWordings are those of services with their own.
var ownWordings = map[string]wording{
	"ec2": {http.StatusForbidden, "UnauthorizedOperation", "AuthFailure"},
	"s3":  {http.StatusForbidden, "AccessDenied", "InvalidAccessKeyId"},
	"sns": {http.StatusForbidden, "AuthorizationError", "InvalidClientTokenId"},
}

func wordingOf(c *Call) wording {
	own, has := ownWordings[c.Service]
	switch {
	case has:
		return own
	case speaksQuery(c):
		return wording{http.StatusForbidden, "AccessDenied", "InvalidClientTokenId"}
	case c.Request.Header.Get("X-Amz-Target") != "":
		return wording{http.StatusBadRequest, "AccessDeniedException", "UnrecognizedClientException"}
	}
	return wording{http.StatusForbidden, "AccessDeniedException", "UnrecognizedClientException"}
}

func invalidKey(c *Call) *Fault {
	return &Fault{http.StatusForbidden, wordingOf(c).invalidKey, "The security token included in the request is invalid."}
}

// denial returns AWS's refusal of a call without the right to it.
func denial(c *Call, who session, n need, why string) *Fault {
	said := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", who.arn, n.action, cmp.Or(n.resource, "*"))
	w := wordingOf(c)
	return &Fault{w.status, w.denied, said + why}
}

// undecided returns the fault of a call that the sandbox cannot decide: it does not
// guess.
func undecided(roleARN string, err error) *Fault {
	return Unsupported("the sandbox can't decide by the policies of %s: %v", roleARN, err)
}

// decide refuses a role's call unless its policies allow all needs of the call.
func (r *Rights) decide(c *Call, who session) error {
	needs, err := r.needs(c)
	if err != nil {
		return err
	}
	for _, n := range needs {
		so, err := r.verdict(c, who, n)
		if err != nil {
			return err
		}
		if why := so.refusal(n.action); why != "" {
			return denial(c, who, n, why)
		}
	}
	return nil
}

// verdict returns the decision of the caller's role on a need.
func (r *Rights) verdict(c *Call, who session, n need) (decision, error) {
	own, err := r.role(c.Request.Context(), who.roleARN)
	if errors.Is(err, errNoRole) { // it was deleted, and so were its sessions
		return decision{}, invalidKey(c)
	}
	if err != nil {
		return decision{}, err
	}
	n = own.keyed(n, who.userID)
	so, err := own.decide(n)
	if err == nil && so.refusal(n.action) == "" {
		r.use(own.policies, n)
	}
	return so, err
}

// assumable are the parameters of AssumeRole that the sandbox knows. Others restrict
// the session, or tag it.
var assumable = []string{"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId"}

// assume forwards an allowed AssumeRole and remembers the session of the new access
// key.
func (r *Rights) assume(c *Call, who session) (*http.Response, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	for parameter := range in {
		if !slices.Contains(assumable, parameter) {
			return nil, undecided(in.Get("RoleArn"), notKnown("the parameter %s of AssumeRole", parameter))
		}
	}
	if err := r.mayAssume(c, who, in.Get("RoleArn")); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	if err != nil || !succeeded(res) {
		return res, err
	}
	body, err := readBody(res)
	if err != nil {
		return nil, err
	}
	given := &element{}
	if err := xml.Unmarshal(body, given); err != nil {
		return nil, err
	}
	_, err = r.remember(given, in.Get("RoleArn"))
	return res, err
}

// mayAssume checks the role's trust policy, and the caller's own policies unless the
// trust policy names the caller's role. Even then these may deny it, and the caller's
// boundary has to allow it: only a policy that names a session's own ARN exceeds a
// boundary (IAM user guide, "Permissions boundaries for IAM entities"), and the
// sandbox refuses such a name.
func (r *Rights) mayAssume(c *Call, who session, roleARN string) error {
	n := need{action: assumeRole, resource: roleARN}
	how, err := r.trusts(c.Request.Context(), roleARN, principal{account: local.Account, roleARN: who.roleARN})
	if err != nil {
		return err
	}
	if how == distrusted || how == forbidden {
		return denial(c, who, n, "")
	}
	if who == administrator {
		return nil
	}
	so, err := r.verdict(c, who, n)
	if err != nil {
		return err
	}
	if so.identity == denied || so.identity == unsaid && how == byAccount || so.boundary != allowed {
		return denial(c, who, n, "")
	}
	return nil
}

// trusts returns the decision of a role's trust policy on a caller.
func (r *Rights) trusts(ctx context.Context, roleARN string, who principal) (trust, error) {
	asked, err := r.role(ctx, roleARN)
	if errors.Is(err, errNoRole) {
		return distrusted, accessDenied("the role %s can't be assumed: there is no such role", roleARN)
	}
	if err != nil {
		return distrusted, err
	}
	p, err := parsePolicy("trust policy", asked.trust, trustGrammar)
	if err != nil {
		return distrusted, undecided(roleARN, err)
	}
	how, err := p.trusts(who)
	if err != nil {
		return distrusted, undecided(roleARN, err)
	}
	return how, nil
}

// remember stores the session of an access key that AssumeRole returned.
func (r *Rights) remember(given *element, roleARN string) (Credentials, error) {
	credentials, users := given.all("Credentials"), given.all("AssumedRoleUser")
	if len(credentials) != 1 || len(users) != 1 {
		return Credentials{}, fmt.Errorf("moto's AssumeRole gives no credentials of %s", roleARN)
	}
	expiration, err := time.Parse(time.RFC3339, credentials[0].text("Expiration"))
	if err != nil {
		return Credentials{}, fmt.Errorf("moto's AssumeRole: %w", err)
	}
	gives := Credentials{
		AccessKeyID: credentials[0].text("AccessKeyId"), SecretAccessKey: credentials[0].text("SecretAccessKey"),
		SessionToken: credentials[0].text("SessionToken"), Expiration: expiration, RoleARN: roleARN,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[gives.AccessKeyID] = session{arn: users[0].text("Arn"), roleARN: roleARN, userID: users[0].text("AssumedRoleId")}
	return gives, nil
}

var errNoRole = errors.New("there is no such role")

// role returns a role with its policies. It is read once, until IAM changes.
func (r *Rights) role(ctx context.Context, arn string) (*role, error) {
	r.mu.Lock()
	known, changes := r.roles[arn], r.changes
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	found, err := r.read(ctx, arn)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if changes == r.changes {
		r.roles[arn] = found
	}
	return found, nil
}

// read reads a role and all its policies from IAM.
func (r *Rights) read(ctx context.Context, arn string) (*role, error) {
	name := path.Base(arn)
	answer, err := r.ask(ctx, "iam", "GetRole", "RoleName", name)
	if isFault(err, "NoSuchEntity") {
		return nil, errNoRole
	}
	if err != nil {
		return nil, err
	}
	if answer.one("Arn") != arn { // in another account, or under another path
		return nil, errNoRole
	}
	found := &role{arn: arn}
	if found.boundary, err = r.boundary(ctx, arn, answer.one("PermissionsBoundaryArn")); err != nil {
		return nil, err
	}
	if found.trust, err = url.PathUnescape(answer.one("AssumeRolePolicyDocument")); err != nil {
		return nil, err
	}
	documents, err := r.documents(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		p, err := parsePolicy(d.name, d.text, rightsGrammar)
		if err != nil {
			return nil, undecided(arn, err)
		}
		found.policies = append(found.policies, p)
	}
	return found, nil
}

// boundary returns the policy that is a role's permissions boundary; nil without an
// ARN.
func (r *Rights) boundary(ctx context.Context, roleARN, policyARN string) (*policy, error) {
	if policyARN == "" {
		return nil, nil
	}
	text, err := r.managed(ctx, policyARN)
	if err != nil {
		return nil, err
	}
	p, err := parsePolicy(policyARN, text, rightsGrammar)
	if err != nil {
		return nil, undecided(roleARN, err)
	}
	return &p, nil
}

type document struct{ name, text string }

// documents returns a role's inline policies and those attached to it.
func (r *Rights) documents(ctx context.Context, roleName string) ([]document, error) {
	var found []document
	inline, err := r.list(ctx, "ListRolePolicies", roleName, "member")
	if err != nil {
		return nil, err
	}
	for _, name := range inline {
		text, err := r.document(ctx, "PolicyDocument", "GetRolePolicy", "RoleName", roleName, "PolicyName", name)
		if err != nil {
			return nil, err
		}
		found = append(found, document{name, text})
	}
	attached, err := r.list(ctx, "ListAttachedRolePolicies", roleName, "PolicyArn")
	if err != nil {
		return nil, err
	}
	for _, arn := range attached {
		text, err := r.managed(ctx, arn)
		if err != nil {
			return nil, err
		}
		found = append(found, document{arn, text})
	}
	return found, nil
}

// list returns the text of all elements of a name in a listing of a role's policies.
func (r *Rights) list(ctx context.Context, operation, roleName, name string) ([]string, error) {
	answer, err := r.ask(ctx, "iam", operation, "RoleName", roleName)
	if err != nil {
		return nil, err
	}
	if answer.one("IsTruncated") == "true" {
		return nil, fmt.Errorf("moto's %s has more than one page for %s, which the sandbox does not read", operation, roleName)
	}
	var list []string
	for _, e := range answer.all(name) {
		list = append(list, e.Text)
	}
	return list, nil
}

// managed returns the default version of a managed policy.
func (r *Rights) managed(ctx context.Context, arn string) (string, error) {
	policy, err := r.ask(ctx, "iam", "GetPolicy", "PolicyArn", arn)
	if err != nil {
		return "", err
	}
	return r.document(ctx, "Document", "GetPolicyVersion", "PolicyArn", arn, "VersionId", policy.one("DefaultVersionId"))
}

func (r *Rights) document(ctx context.Context, name, operation string, params ...string) (string, error) {
	answer, err := r.ask(ctx, "iam", operation, params...)
	if err != nil {
		return "", err
	}
	return url.PathUnescape(answer.one(name))
}

// one returns the text of the first element of that name, at any depth; "" without
// one.
func (e *element) one(name string) string {
	for _, found := range e.all(name) {
		return found.Text
	}
	return ""
}

// ask calls moto.
func (r *Rights) ask(ctx context.Context, service, operation string, params ...string) (*element, error) {
	return ask(ctx, r.moto, service, operation, params...)
}

// form returns the parameters of a call in the query protocol.
func form(c *Call) (url.Values, error) {
	body, err := c.Body()
	if err != nil || len(body) == 0 {
		return c.Request.URL.Query(), err
	}
	in, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("MalformedQueryString", "%v", err)
	}
	return in, nil
}
