package gateway

import (
	"encoding/xml"
	"net/http"
	"sync"
)

// s3Notifications keeps a bucket's EventBridge switch. moto takes it, but leaves
// it out of what it reads back, so every later `pulumi up` would set it again.
func s3Notifications() Behaviour {
	var switchedOn sync.Map // by bucket
	put := func(c *Call) (*http.Response, error) {
		body, err := c.Body()
		if err != nil {
			return nil, err
		}
		res, err := c.Forward()
		if err != nil || !succeeded(res) {
			return res, err
		}
		bucket, _ := s3Bucket(c.Request)
		var sent struct {
			EventBridge *struct{} `xml:"EventBridgeConfiguration"`
		}
		if xml.Unmarshal(body, &sent) == nil && sent.EventBridge != nil {
			switchedOn.Store(bucket, true)
		} else {
			switchedOn.Delete(bucket)
		}
		return res, nil
	}
	get := func(c *Call) (*http.Response, error) {
		res, err := c.Forward()
		bucket, _ := s3Bucket(c.Request)
		if _, on := switchedOn.Load(bucket); err != nil || !succeeded(res) || !on {
			return res, err
		}
		return switchOn(res)
	}
	return Behaviour{Name: "s3 notification switch", Service: "s3", Answers: map[string]Handler{
		"PutBucketNotificationConfiguration": put,
		"GetBucketNotificationConfiguration": get,
		"DeleteBucket":                       forgetBucket(func(bucket string) { switchedOn.Delete(bucket) }),
	}}
}

// switchOn rewrites an answer as a whole: moto closes an empty one at once.
func switchOn(res *http.Response) (*http.Response, error) {
	body, err := readBody(res)
	if err != nil {
		return nil, err
	}
	var config struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ NotificationConfiguration"`
		Parts   []byte   `xml:",innerxml"`
	}
	if err := xml.Unmarshal(body, &config); err != nil {
		return nil, err
	}
	config.Parts = append(config.Parts, "<EventBridgeConfiguration/>"...)
	if body, err = xml.Marshal(config); err != nil {
		return nil, err
	}
	setBody(res, append([]byte(xml.Header), body...))
	return res, nil
}
