package gateway

import (
	"encoding/xml"
	"net/http"
	"strings"
	"sync"
)

// s3Notifications stores a bucket's EventBridge configuration and does not forward
// it: moto does not return it, so that every later `pulumi up` would set it again,
// and would deliver the events itself, without transformers.
func s3Notifications(switchedOn *sync.Map) Behaviour {
	put := func(c *Call) (*http.Response, error) {
		on, err := switchOff(c)
		if err != nil {
			return nil, err
		}
		res, err := c.Forward()
		if err != nil || !succeeded(res) {
			return res, err
		}
		bucket, _ := s3Bucket(c.Request)
		if on {
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

var notificationXML = xml.Name{Space: "http://s3.amazonaws.com/doc/2006-03-01/", Local: "NotificationConfiguration"}

// switchOff removes the EventBridge configuration from a call and reports whether the
// call had it.
func switchOff(c *Call) (on bool, err error) {
	body, err := c.Body()
	if err != nil {
		return false, err
	}
	config := &element{}
	if xml.Unmarshal(body, config) != nil || config.child("EventBridgeConfiguration") == nil {
		return false, nil // moto refuses a body that is not XML
	}
	config.remove(func(e *element) bool { return e.XMLName.Local == "EventBridgeConfiguration" })
	config.dropNamespaces()
	config.XMLName = notificationXML
	if body, err = xml.Marshal(config); err != nil {
		return false, err
	}
	c.SetBody(body)
	for name := range c.Request.Header { // they were of the other body
		if name == "Content-Md5" || strings.HasPrefix(name, "X-Amz-Checksum-") {
			c.Request.Header.Del(name)
		}
	}
	return true, nil
}

// switchOn adds the EventBridge configuration to an answer. It rewrites the whole
// element: moto's is empty and has another name.
func switchOn(res *http.Response) (*http.Response, error) {
	body, err := readBody(res)
	if err != nil {
		return nil, err
	}
	var config struct {
		XMLName xml.Name
		Parts   []byte `xml:",innerxml"`
	}
	if err := xml.Unmarshal(body, &config); err != nil {
		return nil, err
	}
	config.XMLName = notificationXML
	config.Parts = append(config.Parts, "<EventBridgeConfiguration/>"...)
	if body, err = xml.Marshal(config); err != nil {
		return nil, err
	}
	setBody(res, append([]byte(xml.Header), body...))
	return res, nil
}
