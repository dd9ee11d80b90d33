package gateway

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// ObjectChange is an object that was made or deleted, as S3 tells EventBridge.
type ObjectChange struct {
	Bucket, Key string
	Reason      string // PutObject, CopyObject, CompleteMultipartUpload or DeleteObject
	Deletion    string // "Permanently Deleted" or "Delete Marker Created"; "" where it was made
	Size        int64  // with ETag only where it was made
	ETag        string
	VersionID   string // "" where the bucket has no versions
	RequestID   string
	SourceIP    string
}

// s3Objects tells of changes in buckets that send their events to EventBridge.
// moto's own events are wrong, and s3Notifications keeps it from sending any.
// DeleteObjects and uploads by a browser's form are not told.
func s3Objects(switchedOn *sync.Map, changed func(ObjectChange)) Behaviour {
	tell := func(c *Call) (*http.Response, error) {
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
		http.MethodPut: tell, http.MethodPost: tell, http.MethodDelete: tell,
	}}
}

// s3Reason is what a call does to an object, in S3's words; "" for nothing that
// EventBridge is told here. Parts of uploads, tags and the like have parameters.
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

// describe asks moto for what is there now: not every answer tells it.
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
