package gateway

import (
	"encoding/json"
	"net/http"
	"sync"
)

// s3Policies stores bucket policies and does not forward them: in moto a statement
// with a Condition denies everything, whatever the condition is, so a policy that
// requires TLS would block every upload.
func s3Policies() Behaviour {
	var policies sync.Map // the text, by bucket
	put := func(c *Call) (*http.Response, error) {
		body, err := c.Body()
		if err != nil {
			return nil, err
		}
		if err := bucketExists(c); err != nil {
			return nil, err
		}
		if !json.Valid(body) {
			return nil, badRequest("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
		}
		bucket, _ := s3Bucket(c.Request)
		policies.Store(bucket, body)
		return answer(c, http.StatusNoContent, "", nil), nil
	}
	get := func(c *Call) (*http.Response, error) {
		if err := bucketExists(c); err != nil {
			return nil, err
		}
		bucket, _ := s3Bucket(c.Request)
		text, found := policies.Load(bucket)
		if !found {
			return nil, &Fault{http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist"}
		}
		return answer(c, http.StatusOK, "application/json", text.([]byte)), nil
	}
	remove := func(c *Call) (*http.Response, error) {
		if err := bucketExists(c); err != nil {
			return nil, err
		}
		bucket, _ := s3Bucket(c.Request)
		policies.Delete(bucket)
		return answer(c, http.StatusNoContent, "", nil), nil
	}
	return Behaviour{Name: "s3 bucket policies", Service: "s3", Answers: map[string]Handler{
		"PutBucketPolicy":    put,
		"GetBucketPolicy":    get,
		"DeleteBucketPolicy": remove,
		"DeleteBucket":       forgetBucket(func(bucket string) { policies.Delete(bucket) }),
	}}
}

// bucketExists reads a part that every bucket has, so that the refusal of a missing
// bucket is moto's (that of a HEAD has no text).
func bucketExists(c *Call) error {
	bucket, _ := s3Bucket(c.Request)
	res, err := c.send(http.MethodGet, "/"+bucket+"?location", nil, nil)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
