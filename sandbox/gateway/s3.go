package gateway

import (
	"net/http"
	"strings"
)

// s3Bucket is the bucket of a path-style call, which is how the sandbox's
// clients are set up: a bucket can't be a part of the host name 127.0.0.1.
func s3Bucket(r *http.Request) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return bucket, key
}

// s3Operations are the bucket's operations that a behaviour wants, by method and
// the query parameter that names the part of the bucket.
var s3Operations = map[string]string{
	"PUT policy":       "PutBucketPolicy",
	"GET policy":       "GetBucketPolicy",
	"DELETE policy":    "DeleteBucketPolicy",
	"PUT notification": "PutBucketNotificationConfiguration",
	"GET notification": "GetBucketNotificationConfiguration",
}

// s3Operation names one of them, or deleting a bucket; else it is the method.
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
		if part != "x-id" && !strings.HasPrefix(part, "X-Amz-") { // those say nothing of the operation
			parts++
		}
	}
	if r.Method == http.MethodDelete && parts == 0 {
		return "DeleteBucket"
	}
	return r.Method
}

// forgetBucket passes DeleteBucket on and forgets what was kept of the bucket.
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
