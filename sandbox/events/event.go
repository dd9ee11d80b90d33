// Package events delivers the sandbox's EventBridge events: it matches an event with
// the rules, and delivers it to their targets, which are topics and API destinations,
// with retries and dead-letter queues. Rules, targets, connections and API
// destinations are moto's. No event reaches moto, which would deliver it too.
//
// Behaviour and texts follow AWS's user guide and API reference.
package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Event is an event, as patterns, transformers and targets get it.
type Event struct {
	Version    string          `json:"version"` // always "0"
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// text returns the event as JSON. It cannot fail: Detail is valid JSON.
func (e Event) text() []byte { return encode(e) }

// tree returns the event for patterns and paths; numbers stay as they are written.
func (e Event) tree() map[string]any {
	tree := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(e.text()))
	d.UseNumber()
	_ = d.Decode(&tree) // text returns JSON
	return tree
}

// encode returns JSON without json.Marshal's escapes for "<" and "&", which AWS does
// not write.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil { // only a type that JSON does not know can do this
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// event returns a new event of an AWS service.
func (s *Service) event(source, detailType string, resources []string, detail any) Event {
	return Event{
		Version: "0", ID: s.config.NewID(), DetailType: detailType, Source: source, Account: local.Account,
		Time: timestamp(s.config.Now()), Region: local.Region, Resources: resources, Detail: encode(detail),
	}
}

// timestamp returns a time in whole seconds, as in AWS's events.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// objectDetail is the detail of S3's events (S3 user guide, "EventBridge event
// message structure").
type objectDetail struct {
	Version      string     `json:"version"`
	Bucket       bucketName `json:"bucket"`
	Object       object     `json:"object"`
	RequestID    string     `json:"request-id"`
	Requester    string     `json:"requester"`
	SourceIP     string     `json:"source-ip-address"`
	Reason       string     `json:"reason"`
	DeletionType string     `json:"deletion-type,omitempty"`
}

type bucketName struct {
	Name string `json:"name"`
}

// object has no size and ETag after a permanent deletion.
type object struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version-id,omitempty"`
	Sequencer string `json:"sequencer"`
}

// ObjectChanged publishes the event of an object's change. The gateway reports
// changes only in buckets that send events to EventBridge.
func (s *Service) ObjectChanged(c gateway.ObjectChange) {
	detail := objectDetail{
		Version: "0", Bucket: bucketName{c.Bucket},
		Object:    object{Key: c.Key, ETag: c.ETag, VersionID: c.VersionID, Sequencer: fmt.Sprintf("%016X", s.config.Now().UnixNano())},
		RequestID: c.RequestID, Requester: local.Account, SourceIP: c.SourceIP, Reason: c.Reason, DeletionType: c.Deletion,
	}
	kind := "Object Deleted"
	if c.Deletion == "" {
		kind, detail.Object.Size = "Object Created", &c.Size
	}
	s.Publish(s.event("aws.s3", kind, []string{"arn:aws:s3:::" + c.Bucket}, detail))
}

// JobChanged publishes the event of a Batch job's new state. detail is the job as in
// DescribeJobs.
func (s *Service) JobChanged(jobARN string, detail any) {
	s.Publish(s.event("aws.batch", "Batch Job State Change", []string{jobARN}, detail))
}

// QueueBlocked publishes the event of a job that blocks the front of its queue (AWS Batch
// user guide, "Job queue blocked events").
func (s *Service) QueueBlocked(jobARN, queueARN string, detail any) {
	s.Publish(s.event("aws.batch", "Batch Job Queue Blocked", []string{jobARN, queueARN}, detail))
}
