package gateway

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// SessionManager returns Systems Manager's Session Manager without connections: it
// opens, resumes and ends sessions for callers with the right to. The sandbox's
// connection to a machine is `sandbox relay`.
func (r *Rights) SessionManager() Behaviour {
	return Behaviour{Name: "ssm sessions", Service: "ssm", Answers: map[string]Handler{
		"StartSession": r.startSession, "ResumeSession": r.resumeSession, "TerminateSession": r.terminateSession,
	}}
}

// defaultDocument is the session document of a StartSession without one.
const defaultDocument = "SSM-SessionManagerRunShell"

// sessionTag is the tag with which Session Manager marks a session's owner: it has
// the aws:userid of the caller of StartSession (Systems Manager user guide,
// "Additional sample IAM policies for Session Manager").
const sessionTag = "aws:ssmmessages:session-id"

// startSession opens a session on a running instance. Its id begins with the name of
// the caller's role session.
func (r *Rights) startSession(c *Call) (*http.Response, error) {
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	answer, err := r.ask(c.Request.Context(), "ec2", "DescribeInstances", "InstanceId.1", in.text("Target"))
	if err != nil || answer.instanceState() != "running" {
		return nil, badRequest("TargetNotConnected", "%s is not connected.", in.text("Target"))
	}
	who, err := r.caller(c)
	if err != nil {
		return nil, err
	}
	id := who.name() + "-" + randomHex(9)[1:] // 17 digits
	r.mu.Lock()
	r.opened[id] = who.userID
	r.mu.Unlock()
	return r.sessionAnswer(c, id), nil
}

func (r *Rights) resumeSession(c *Call) (*http.Response, error) {
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	if r.ownerOf(in.text("SessionId")) == "" {
		return nil, badRequest("DoesNotExistException", "The session %s does not exist.", in.text("SessionId"))
	}
	return r.sessionAnswer(c, in.text("SessionId")), nil
}

// terminateSession succeeds for a session that has ended, as in AWS.
func (r *Rights) terminateSession(c *Call) (*http.Response, error) {
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	delete(r.opened, in.text("SessionId"))
	r.mu.Unlock()
	return answerJSON(c, http.StatusOK, map[string]any{"SessionId": in.text("SessionId")}), nil
}

func (r *Rights) sessionAnswer(c *Call, id string) *http.Response {
	return answerJSON(c, http.StatusOK, map[string]any{
		"SessionId": id, "TokenValue": randomHex(32), "StreamUrl": "wss://ssmmessages." + c.Region + ".amazonaws.com/v1/data-channel/" + id,
	})
}

// ownerOf returns the aws:userid of a session's owner; "" if there is no such
// session.
func (r *Rights) ownerOf(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened[id]
}

// name returns the name of a role's session; the administrator's is "root".
func (s session) name() string {
	if _, name, isRole := strings.Cut(s.userID, ":"); isRole {
		return name
	}
	return "root"
}

func (e *element) instanceState() string {
	for _, state := range e.all("instanceState") {
		return state.text("name")
	}
	return ""
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// opening returns the needs of StartSession: the instance and the session document.
func opening(r *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	return r.reach(c, []string{in.text("Target")}, cmp.Or(in.text("DocumentName"), defaultDocument))
}

// command returns the needs of SendCommand: the instances and the document.
func command(r *Rights, c *Call) ([]need, error) {
	var in struct {
		DocumentName string
		InstanceIDs  []string `json:"InstanceIds"`
		Targets      []any
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if len(in.Targets) > 0 {
		return nil, undecided("the caller", notKnown("the Targets of SendCommand"))
	}
	return r.reach(c, in.InstanceIDs, in.DocumentName)
}

// reach returns the needs of Systems Manager's calls on instances with a document.
func (r *Rights) reach(c *Call, ids []string, document string) ([]need, error) {
	needs, err := r.existing(c, ids)
	if err != nil {
		return nil, err
	}
	arn := arnOf(c, "ssm", "document/"+document)
	if strings.HasPrefix(document, "AWS-") { // AWS's own belong to no account
		arn = "arn:aws:ssm:" + c.Region + "::document/" + document
	}
	return append(needs, need{resource: arn, resourceTags: map[string]string{}}), nil
}

// opened returns the needs of a call on a session, with the tag of its owner.
func opened(r *Rights, c *Call) ([]need, error) {
	in, err := fieldsOf(c)
	id := in.text("SessionId")
	n := need{resource: arnOf(c, "ssm", "session/"+id), resourceTags: map[string]string{}}
	if owner := r.ownerOf(id); owner != "" {
		n.resourceTags[sessionTag] = owner
	}
	return []need{n}, err
}
