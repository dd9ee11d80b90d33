package gateway

import (
	"net/http"
	"strings"
)

// s3Bucket returns the bucket and key of a path-style call. The sandbox's clients
// make such calls, because the host name 127.0.0.1 cannot begin with a bucket.
func s3Bucket(r *http.Request) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return bucket, key
}

// s3Operations are the operations on buckets that have a behaviour, by method and the
// query parameter that names the part of the bucket.
var s3Operations = map[string]string{
	"PUT policy":       "PutBucketPolicy",
	"GET policy":       "GetBucketPolicy",
	"DELETE policy":    "DeleteBucketPolicy",
	"PUT notification": "PutBucketNotificationConfiguration",
	"GET notification": "GetBucketNotificationConfiguration",
}

// s3Operation returns one of them, DeleteBucket, or else the method.
func s3Operation(r *http.Request) string {
	bucket, key := s3Bucket(r)
	if bucket == "" || key != "" {
		return r.Method
	}
	parts := 0
	for part := range r.URL.Query() {
		if operation, known := s3Operations[r.Method+" "+part]; known {
			return operation
		}
		if part != "x-id" && !strings.HasPrefix(part, "X-Amz-") { // those do not identify the operation
			parts++
		}
	}
	if r.Method == http.MethodDelete && parts == 0 {
		return "DeleteBucket"
	}
	return r.Method
}

// forgetBucket forwards DeleteBucket and, if it succeeds, calls forget.
func forgetBucket(forget func(bucket string)) Handler {
	return func(c *Call) (*http.Response, error) {
		res, err := c.Forward()
		if err == nil && succeeded(res) {
			bucket, _ := s3Bucket(c.Request)
			forget(bucket)
		}
		return res, err
	}
}
