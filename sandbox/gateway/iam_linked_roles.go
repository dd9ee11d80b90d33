package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// linkedRoleNames are AWS's names of the service-linked roles that moto names
// otherwise, by service: it calls AWS Batch's AWSServiceRoleForbatch.
var linkedRoleNames = map[string]string{batchService: "AWSServiceRoleForBatch"}

const batchService = "batch.amazonaws.com"

func linkedRoleARN(service string) string {
	return "arn:aws:iam::" + local.Account + ":role" + linkedRolePath(service) + linkedRoleNames[service]
}

const linkedRolesPath = "/aws-service-role/"

func linkedRolePath(service string) string { return linkedRolesPath + service + "/" }

// linkedRoles is AWS Batch's service-linked role with what moto leaves out:
//   - An account has one: a second CreateServiceLinkedRole is refused.
//   - AWS Batch creates it for a compute environment that names no role.
//   - For some seconds after a CreateServiceLinkedRole AWS Batch can't assume the
//     role, and a compute environment that is created in this time becomes INVALID
//     (terraform-provider-aws#37945).
//   - DeleteServiceLinkedRole starts a task, which fails if a compute environment
//     has the role (IAM API reference, DeleteServiceLinkedRole).
type linkedRoles struct {
	moto  *url.URL
	delay time.Duration // from the call until the role can be assumed, or is deleted

	mu        sync.Mutex
	assumable map[string]time.Time // when a role can be assumed, by its ARN
	invalid   map[string]bool      // whether a compute environment is INVALID, by its ARN
	deletions map[string]deletion  // by task id
}

// deletion is a task as GetServiceLinkedRoleDeletionStatus shows it.
type deletion struct {
	Status string
	Reason *deletionReason `xml:",omitempty"`
}

type deletionReason struct {
	Reason        string
	RoleUsageList []roleUsage `xml:"RoleUsageList>member"`
}

type roleUsage struct {
	Region    string
	Resources []string `xml:"Resources>member"`
}

func newLinkedRoles(moto *url.URL, delay time.Duration) *linkedRoles {
	return &linkedRoles{moto: moto, delay: delay, assumable: map[string]time.Time{}, invalid: map[string]bool{}, deletions: map[string]deletion{}}
}

func (l *linkedRoles) behaviours() []Behaviour {
	return []Behaviour{
		{Name: "iam service-linked roles", Service: "iam", Answers: map[string]Handler{
			"CreateServiceLinkedRole": l.create, "DeleteServiceLinkedRole": l.remove, "GetServiceLinkedRoleDeletionStatus": l.status,
		}},
		{Name: "batch service role", Service: "batch", Answers: map[string]Handler{
			"CreateComputeEnvironment": l.createEnvironment, "UpdateComputeEnvironment": l.updateEnvironment, "DescribeComputeEnvironments": l.describeEnvironments,
		}},
	}
}

func (l *linkedRoles) create(c *Call) (*http.Response, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	service := in.Get("AWSServiceName")
	name, known := linkedRoleNames[service]
	if !known {
		return c.Forward()
	}
	if in.Get("CustomSuffix") != "" {
		return nil, badRequest("InvalidInput", "Custom suffix is not allowed for %s", service)
	}
	made, err := l.make(c.Request.Context(), service, "Description", in.Get("Description"))
	if isFault(err, "EntityAlreadyExists") {
		return nil, badRequest("InvalidInput", "Service role name %s has been taken in this account, please try a different suffix.", name)
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.assumable[linkedRoleARN(service)] = time.Now().Add(l.delay)
	made.dropNamespaces()
	return answerQuery(c, struct{ Role []*element }{made.all("Role")}), nil
}

// make creates the role at moto, under AWS's name.
func (l *linkedRoles) make(ctx context.Context, service string, params ...string) (*element, error) {
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
	return ask(ctx, l.moto, "iam", "CreateRole",
		append(params, "RoleName", linkedRoleNames[service], "Path", linkedRolePath(service), "AssumeRolePolicyDocument", trust)...)
}

func (l *linkedRoles) remove(c *Call) (*http.Response, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	found, err := ask(c.Request.Context(), l.moto, "iam", "GetRole", "RoleName", in.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(found.one("Path"), linkedRolesPath) {
		return nil, &Fault{http.StatusNotFound, "NoSuchEntity", in.Get("RoleName") + " is no service-linked role"}
	}
	arn := found.one("Arn")
	task := fmt.Sprintf("task%s%s/%d", found.one("Path"), path.Base(arn), time.Now().UnixNano())
	l.ended(task, deletion{Status: "IN_PROGRESS"})
	time.AfterFunc(l.delay, func() { l.ended(task, l.delete(arn)) })
	return answerQuery(c, struct {
		Task string `xml:"DeletionTaskId"`
	}{task}), nil
}

func (l *linkedRoles) ended(task string, as deletion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deletions[task] = as
}

// delete deletes a role unless a compute environment has it. AWS does not document
// the words of the reason.
func (l *linkedRoles) delete(arn string) deletion {
	ctx := context.Background()
	users, err := l.users(ctx, arn)
	if err == nil && len(users) == 0 {
		_, err = ask(ctx, l.moto, "iam", "DeleteRole", "RoleName", path.Base(arn))
	}
	switch {
	case err != nil:
		return deletion{"FAILED", &deletionReason{Reason: err.Error()}}
	case len(users) > 0:
		return deletion{"FAILED", &deletionReason{"Resources of the linked service use the role.", []roleUsage{{local.Region, users}}}}
	}
	return deletion{Status: "SUCCEEDED"}
}

// users are the compute environments that have a role.
func (l *linkedRoles) users(ctx context.Context, arn string) (users []string, err error) {
	target := url.URL{Scheme: l.moto.Scheme, Host: l.moto.Host, Path: "/v1/describecomputeenvironments"}
	res, err := local.Call(ctx, local.MotoKey, target.String(), "batch", "application/json", []byte("{}"))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var all struct {
		Environments []struct {
			ARN  string `json:"computeEnvironmentArn"`
			Role string `json:"serviceRole"`
		} `json:"computeEnvironments"`
	}
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("DescribeComputeEnvironments at moto: %s: %w", res.Status, err)
	}
	for _, e := range all.Environments {
		if e.Role == arn {
			users = append(users, e.ARN)
		}
	}
	return users, nil
}

func (l *linkedRoles) status(c *Call) (*http.Response, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	task, known := l.deletions[in.Get("DeletionTaskId")]
	if !known {
		return nil, &Fault{http.StatusNotFound, "NoSuchEntity", "There is no deletion task " + in.Get("DeletionTaskId")}
	}
	return answerQuery(c, task), nil
}

// createEnvironment gives an environment that names no role the service-linked
// role, and creates that if it is missing (AWS Batch API reference,
// CreateComputeEnvironment).
func (l *linkedRoles) createEnvironment(c *Call) (*http.Response, error) {
	sent := map[string]any{}
	if err := c.JSON(&sent); err != nil {
		return nil, err
	}
	role, _ := sent["serviceRole"].(string)
	if role == "" && sent["type"] == "MANAGED" {
		role = linkedRoleARN(batchService)
		if err := l.makeForBatch(c.Request.Context()); err != nil {
			return nil, err
		}
		sent["serviceRole"] = role
		body, err := json.Marshal(sent)
		if err != nil {
			return nil, err
		}
		c.SetBody(body)
	}
	return l.judge(c, func(bool) bool { return l.early(role) })
}

func (l *linkedRoles) makeForBatch(ctx context.Context) error {
	_, err := l.make(ctx, batchService)
	if isFault(err, "EntityAlreadyExists") {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.assumable, linkedRoleARN(batchService)) // it was of a role that has been deleted
	return err
}

// updateEnvironment repairs an INVALID one (AWS Batch user guide, "Repairing an
// INVALID compute environment").
func (l *linkedRoles) updateEnvironment(c *Call) (*http.Response, error) {
	return l.judge(c, func(invalid bool) bool { return invalid && l.early(linkedRoleARN(batchService)) })
}

// early reports whether a role can't be assumed yet.
func (l *linkedRoles) early(role string) bool { return time.Now().Before(l.assumable[role]) }

// judge passes a call on and remembers whether its environment is INVALID from then on.
func (l *linkedRoles) judge(c *Call, invalid func(before bool) bool) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return EditJSON(res, func(answer map[string]any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		arn, _ := answer["computeEnvironmentArn"].(string)
		l.invalid[arn] = invalid(l.invalid[arn])
	})
}

// notAssumed is AWS's reason (AWS Batch user guide, "INVALID compute environment").
const notAssumed = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403; Error Code: AccessDenied)"

func (l *linkedRoles) describeEnvironments(c *Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return EditJSON(res, func(answer map[string]any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, shown := range Objects(answer["computeEnvironments"]) {
			if arn, _ := shown["computeEnvironmentArn"].(string); l.invalid[arn] {
				shown["status"], shown["statusReason"] = "INVALID", notAssumed
			}
		}
	})
}
