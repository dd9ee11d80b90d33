package gateway

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// ObjectChange is the creation or deletion of an object, as S3 reports it to
// EventBridge.
type ObjectChange struct {
	Bucket, Key string
	Reason      string // PutObject, CopyObject, CompleteMultipartUpload or DeleteObject
	Deletion    string // "Permanently Deleted" or "Delete Marker Created"; "" for a creation
	Size        int64  // this and ETag: of a creation only
	ETag        string
	VersionID   string // "" if the bucket has no versions
	RequestID   string
	SourceIP    string
}

// s3Objects reports changes in buckets that send their events to EventBridge, in
// place of moto, whose events are wrong: s3Notifications switches those off.
// DeleteObjects and uploads by a browser's form are not reported.
func s3Objects(switchedOn *sync.Map, changed func(ObjectChange)) Behaviour {
	report := func(c *Call) (*http.Response, error) {
		bucket, key := s3Bucket(c.Request)
		reason := s3Reason(c.Request)
		_, on := switchedOn.Load(bucket)
		res, err := c.Forward()
		if changed == nil || !on || key == "" || reason == "" || err != nil || !succeeded(res) {
			return res, err
		}
		change := ObjectChange{
			Bucket: bucket, Key: key, Reason: reason, VersionID: s3Version(res.Header),
			RequestID: cmp.Or(res.Header.Get("X-Amz-Request-Id"), res.Header.Get("X-Amzn-Requestid")),
		}
		change.SourceIP, _, _ = net.SplitHostPort(c.Request.RemoteAddr)
		switch {
		case reason != "DeleteObject":
			if err := change.describe(c); err != nil {
				return nil, err
			}
		case res.Header.Get("X-Amz-Delete-Marker") == "true" && !c.Request.URL.Query().Has("versionId"):
			change.Deletion = "Delete Marker Created"
		default:
			change.Deletion = "Permanently Deleted"
		}
		changed(change)
		return res, nil
	}
	return Behaviour{Name: "s3 object events", Service: "s3", Answers: map[string]Handler{
		http.MethodPut: report, http.MethodPost: report, http.MethodDelete: report,
	}}
}

// s3Reason returns S3's name of a call's effect on an object; "" if EventBridge gets
// no event. Parts of uploads, tags and the like have parameters.
func s3Reason(r *http.Request) string {
	parameters := map[string]bool{}
	for name := range r.URL.Query() {
		if name != "x-id" && !strings.HasPrefix(name, "X-Amz-") {
			parameters[name] = true
		}
	}
	only := func(name string) bool { return len(parameters) == 1 && parameters[name] }
	switch {
	case r.Method == http.MethodPut && len(parameters) == 0 && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	case r.Method == http.MethodPut && len(parameters) == 0:
		return "PutObject"
	case r.Method == http.MethodPost && only("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && (len(parameters) == 0 || only("versionId")):
		return "DeleteObject"
	}
	return ""
}

// describe reads the object from moto: not every answer has its size.
func (o *ObjectChange) describe(c *Call) error {
	path := c.Request.URL.EscapedPath()
	if o.VersionID != "" {
		path += "?versionId=" + url.QueryEscape(o.VersionID)
	}
	res, err := c.send(http.MethodHead, path, nil, nil)
	if err != nil {
		return err
	}
	o.Size, o.ETag = res.ContentLength, strings.Trim(res.Header.Get("ETag"), `"`)
	o.VersionID = s3Version(res.Header)
	return res.Body.Close()
}

func s3Version(answer http.Header) string {
	if version := answer.Get("X-Amz-Version-Id"); version != "null" {
		return version
	}
	return ""
}
