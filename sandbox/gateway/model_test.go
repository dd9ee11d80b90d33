package gateway

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

// awsCall is a call as an SDK sends it.
type awsCall struct {
	service, method, path, target, contentType, body string
	header                                           map[string]string
}

// toJSON, toForm and the others are calls in AWS's protocols.
func toJSON(service, target, body string) awsCall {
	return awsCall{service: service, method: "POST", path: "/", target: target, contentType: "application/x-amz-json-1.1", body: body}
}

func toForm(service, body string) awsCall {
	return awsCall{service: service, method: "POST", path: "/", contentType: local.Form, body: body}
}

func toREST(service, method, path, body string) awsCall {
	return awsCall{service: service, method: method, path: path, contentType: "application/json", body: body}
}

func toS3(method, path, body string) awsCall {
	return awsCall{service: "s3", method: method, path: path, contentType: "application/xml", body: body}
}

func (c awsCall) with(header, value string) awsCall {
	c.header = map[string]string{header: value}
	return c
}

func (c awsCall) request(t *testing.T, endpoint string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(c.method, endpoint+c.path, strings.NewReader(c.body))
	require.NoError(t, err)
	r.Header.Set("Authorization", local.Authorization(local.MotoKey, c.service))
	r.Header.Set("Content-Type", c.contentType)
	if c.target != "" {
		r.Header.Set("X-Amz-Target", c.target)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	return r
}

// checked is a gateway with AWS's models before a moto that takes everything.
type checked struct {
	url     string
	log     bytes.Buffer
	reached int // how many calls came to moto
}

func newChecked(t *testing.T) *checked {
	t.Helper()
	c := &checked{}
	moto := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.reached++
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(moto.Close)
	upstream, err := url.Parse(moto.URL)
	require.NoError(t, err)
	g, err := New(Config{Upstream: upstream, Registry: "127.0.0.1:1", Models: mototest.Models(t), Log: &c.log})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *checked) send(t *testing.T, call awsCall) (status int, body string) {
	t.Helper()
	res, err := http.DefaultClient.Do(call.request(t, c.url))
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

const connection = `{"Name":"delivery-dev","AuthorizationType":"API_KEY","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"Authorization","ApiKeyValue":%q}}}`

func TestWhatAWSsModelDoesNotAllowIsRefusedInTheServicesWords(t *testing.T) {
	c := newChecked(t)
	role := strings.Repeat("r", 65)
	for name, test := range map[string]struct {
		call          awsCall
		code, message string
	}{
		"JSON, a pattern; the value is a secret": {
			toJSON("events", "AWSEvents.CreateConnection", fmt.Sprintf(connection, "Bearer none: make delivery-token sets it")), "ValidationException",
			"1 validation error detected: Value at 'authParameters.apiKeyAuthParameters.apiKeyValue' failed to satisfy constraint: Member must satisfy regular expression pattern: " +
				`^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$`,
		},
		"JSON, several": {
			toJSON("secretsmanager", "secretsmanager.CreateSecret", `{"Name":"","Tags":[{"Key":""}]}`), "ValidationException",
			"2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1",
		},
		"JSON, a range": {
			toJSON("events", "AWSEvents.CreateApiDestination", `{"Name":"a","ConnectionArn":"arn:aws:events:us-east-1:123456789012:connection/a/b","InvocationEndpoint":"https://example.com","HttpMethod":"POST","InvocationRateLimitPerSecond":0}`),
			"ValidationException", "1 validation error detected: Value '0' at 'invocationRateLimitPerSecond' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		"JSON, a rule of a list's elements": {
			toJSON("ssm", "AmazonSSM.SendCommand", `{"DocumentName":"AWS-RunShellScript","InstanceIds":["builder"]}`), "ValidationException",
			`1 validation error detected: Value '[builder]' at 'instanceIds' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy regular expression pattern: (^i-(\w{8}|\w{17})$)|(^mi-\w{17}$)]`,
		},
		"JSON, an empty list": {
			toJSON("logs", "Logs_20140328.PutLogEvents", `{"logGroupName":"a","logStreamName":"a:b","logEvents":[]}`), "InvalidParameterException",
			"2 validation errors detected: Value '[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value 'a:b' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*",
		},
		"JSON, another type": {
			toJSON("logs", "Logs_20140328.PutRetentionPolicy", `{"logGroupName":"a","retentionInDays":"30"}`), "SerializationException",
			"STRING_VALUE can not be converted to an Integer at 'retentionInDays'",
		},
		"JSON, a member that does not exist": {
			toJSON("logs", "Logs_20140328.CreateLogGroup", `{"logGroupName":"a","retention":30}`), "UnknownParameter", "The parameter retention is not recognized",
		},
		"JSON, an operation that does not exist": {
			toJSON("logs", "Logs_20140328.CreateLogs", `{}`), "UnknownOperationException", "Operation CreateLogs is not known",
		},
		"ECR": {
			toJSON("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", `{"registryId":"none"}`), "InvalidParameterException",
			"Invalid parameter at 'registryId' failed to satisfy constraint: 'must satisfy regular expression '[0-9]{12}''",
		},
		"SQS": {toJSON("sqs", "AmazonSQS.CreateQueue", `{}`), "MissingParameter", "The request must contain the parameter QueueName"},
		"query, several": {
			toForm("iam", "Action=CreateRole&Version=2010-05-08&RoleName="+role+"&Tags.member.1.Key=a"), "ValidationError",
			"3 validation errors detected: Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null; " +
				"Value '" + role + "' at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64; " +
				"Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null",
		},
		"query, an enumeration": {
			toForm("monitoring", "Action=PutMetricAlarm&Version=2010-08-01&AlarmName=a&EvaluationPeriods=1&ComparisonOperator=More"), "ValidationError",
			"1 validation error detected: Value 'More' at 'comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: " +
				"[GreaterThanOrEqualToThreshold, GreaterThanThreshold, …",
		},
		"query, another type": {
			toForm("sts", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/a&RoleSessionName=s&DurationSeconds=long"), "ValidationError",
			"1 validation error detected: Value 'long' at 'durationSeconds' failed to satisfy constraint: Member must be an integer",
		},
		"query, a member that does not exist": {
			toForm("sns", "Action=CreateTopic&Version=2010-03-31&Name=a&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.1.Colour=c"),
			"UnknownParameter", "The parameter tags.1.member.Colour is not recognized",
		},
		"EC2, a missing member": {
			toForm("ec2", "Action=CreateLaunchTemplate&Version=2016-11-15&LaunchTemplateName=abc"), "MissingParameter",
			"The request must contain the parameter LaunchTemplateData",
		},
		"EC2, another type": {
			toForm("ec2", "Action=CreateTags&Version=2016-11-15&ResourceId.1=i-1&Tag.1.Key=a&Tag.1.Value=b&DryRun=perhaps"), "InvalidParameterValue",
			"Value (perhaps) for parameter DryRun is invalid. Member must be a boolean",
		},
		"EC2, a rule inside a list": {
			toForm("ec2", "Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&BlockDeviceMapping.1.Ebs.VolumeType=gp9"), "InvalidParameterValue",
			"Value (gp9) for parameter BlockDeviceMapping.1.Ebs.VolumeType is invalid. Member must satisfy enum value set: [standard, io1, …",
		},
		"EC2, a member that does not exist": {
			toForm("ec2", "Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&BlockDeviceMapping.1.Ebs.Colour=red"), "UnknownParameter",
			"The parameter BlockDeviceMapping.1.Ebs.Colour is not recognized",
		},
		"EC2, an operation that does not exist": {toForm("ec2", "Action=Fly"), "InvalidAction", "The action Fly is not valid for this web service."},
		"REST in JSON": {
			toREST("batch", "POST", "/v1/registerjobdefinition", `{"jobDefinitionName":"a","type":"contained","containerProperties":{"secrets":[{"name":"a"}]}}`), "ClientException",
			"2 validation errors detected: Value null at 'containerProperties.secrets.1.member.valueFrom' failed to satisfy constraint: Member must not be null; " +
				"Value 'contained' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [container, multinode]",
		},
		"REST in JSON, another type": {
			toREST("batch", "POST", "/v1/submitjob", `{"jobName":"a","jobQueue":"q","jobDefinition":"d","timeout":{"attemptDurationSeconds":1.5}}`), "SerializationException",
			"DECIMAL_VALUE can not be converted to an Integer at 'timeout.attemptDurationSeconds'",
		},
		"REST in JSON, path and query": {
			toREST("lambda", "GET", "/2015-03-31/functions/a%2Fb/policy?Qualifier=a%20b", ""), "ValidationException",
			"2 validation errors detected: Value 'a/b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: …",
		},
		"REST in JSON, an operation that does not exist": {toREST("batch", "POST", "/v1/fly", "{}"), "UnknownOperationException", "No operation is at POST /v1/fly"},
		"REST in XML, an enumeration": {
			toS3("PUT", "/builds?versioning", `<VersioningConfiguration><Status>On</Status></VersioningConfiguration>`), "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our published schema: VersioningConfiguration.Status: Member must satisfy enum value set: [Enabled, Suspended]",
		},
		"REST in XML, a missing member": {
			toS3("PUT", "/builds?tagging", `<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>`), "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our published schema: Tagging.TagSet.1.Value: Member must not be null",
		},
		"REST in XML, a member that does not exist": {
			toS3("PUT", "/builds?versioning", `<VersioningConfiguration><State>Enabled</State></VersioningConfiguration>`), "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our published schema: VersioningConfiguration.State: Member is not one of the request's",
		},
		"REST in XML, a header": {
			toS3("PUT", "/builds/a", "").with("X-Amz-Storage-Class", "COLD"), "InvalidArgument",
			"Invalid Argument: x-amz-storage-class: Member must satisfy enum value set: [STANDARD, …",
		},
		"REST in XML, a query parameter that does not exist": {
			toS3("GET", "/builds?colour=red", ""), "InvalidArgument", "Invalid Argument: colour: Member is not one of the request's",
		},
		"REST in XML, a missing query parameter": {
			toS3("GET", "/builds/a?attributes", ""), "InvalidRequest", "Missing required header or parameter for this request: x-amz-object-attributes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := c.send(t, test.call)
			assert.Equal(t, http.StatusBadRequest, status, body)
			code, message := faultOf(t, body)
			assert.Equal(t, test.code, code)
			if begins, more := strings.CutSuffix(test.message, "…"); more { // the rest changes with AWS's releases
				assert.True(t, strings.HasPrefix(message, begins), message)
			} else {
				assert.Equal(t, test.message, message)
			}
		})
	}
	assert.Zero(t, c.reached, "moto sees none of them")
}

// faultOf reads an error in XML or in JSON.
func faultOf(t *testing.T, body string) (code, message string) {
	t.Helper()
	if strings.HasPrefix(body, "<") {
		root := &element{}
		require.NoError(t, xml.Unmarshal([]byte(body), root), body)
		return root.all("Code")[0].Text, root.all("Message")[0].Text
	}
	var fault struct {
		Type    string `json:"__type"`
		Message string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &fault), body)
	return fault.Type, fault.Message
}

func TestWhatAWSAllowsPasses(t *testing.T) {
	c := newChecked(t)
	for name, call := range map[string]awsCall{
		"JSON":              toJSON("events", "AWSEvents.CreateConnection", fmt.Sprintf(connection, "Bearer none")),
		"JSON, null":        toJSON("logs", "Logs_20140328.CreateLogGroup", `{"logGroupName":"a","kmsKeyId":null}`),
		"JSON, no body":     toJSON("ecr", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", ``),
		"query":             toForm("sns", "Action=CreateTopic&Version=2010-03-31&Name=a&Attributes.entry.1.key=Policy&Attributes.entry.1.value=x&Tags.member.1.Key=a&Tags.member.1.Value="),
		"query, empty list": toForm("iam", "Action=CreateRole&Version=2010-05-08&RoleName=a&AssumeRolePolicyDocument=x&Tags="),
		"query in a URL":    {service: "sts", method: "GET", path: "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60"},
		"EC2":               toForm("ec2", "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=a&Filter.1.Value.2=b&VpcId.1=vpc-1&DryRun=true"),
		"REST in JSON":      toREST("batch", "DELETE", "/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fjobs?tagKeys=a&tagKeys=b", ""),
		"an enumeration in lower case, as Batch documents": toREST("batch", "POST", "/v1/registerjobdefinition",
			`{"jobDefinitionName":"a","type":"container","retryStrategy":{"attempts":2,"evaluateOnExit":[{"onReason":"*","action":"exit"}]}}`),
		"S3 XML":            toS3("PUT", "/builds?versioning", `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`),
		"S3 object":         toS3("PUT", "/builds/a%20b/c?x-id=PutObject", "any bytes"),
		"S3 copy":           toS3("PUT", "/builds/a", "").with("X-Amz-Copy-Source", "/builds/b"),
		"S3 part":           toS3("PUT", "/builds/a?partNumber=1&uploadId=u", "any bytes"),
		"S3 listing":        toS3("GET", "/builds?list-type=2&prefix=a", ""),
		"S3 preflight":      toS3("OPTIONS", "/builds/a", ""),
		"S3 upload by form": {service: "s3", method: "POST", path: "/builds", contentType: "multipart/form-data; boundary=x", body: "--x--"},
		"no service named":  {method: "GET", path: "/builds/a"},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.reached
			status, body := c.send(t, call)
			assert.Equal(t, http.StatusOK, status, body)
			assert.Greater(t, c.reached, before, "it goes on to moto")
		})
	}
}

func TestAServiceWithoutAModelIsRefused(t *testing.T) {
	c := newChecked(t)
	status, body := c.send(t, toJSON("nosuchservice", "A.B", "{}"))
	assert.Equal(t, http.StatusNotImplemented, status, "which clients do not try again")
	assert.Contains(t, body, "nosuchservice")
}

func TestARefusalIsLoggedAndCounted(t *testing.T) {
	c := newChecked(t)
	_, _ = c.send(t, toJSON("sqs", "AmazonSQS.CreateQueue", `{}`))
	const refusal = "sqs.CreateQueue: MissingParameter: The request must contain the parameter QueueName"
	assert.Contains(t, c.log.String(), "model refuses "+refusal)
	res, err := http.Get(c.url + HealthPath)
	require.NoError(t, err)
	defer res.Body.Close()
	var health Health
	require.NoError(t, json.NewDecoder(res.Body).Decode(&health))
	assert.Equal(t, map[string]int{refusal: 1}, health.Refusals)
}

func TestTheFileInACallIsNotRead(t *testing.T) {
	models := mototest.Models(t)
	for _, call := range []awsCall{
		toS3("PUT", "/builds/a", "a file"),
		toS3("PUT", "/builds/a?partNumber=1&uploadId=u", "a file"),
		toREST("lambda", "POST", "/2015-03-31/functions/a/invocations", "any payload"),
	} {
		refusal, err := models.Check(call.service, call.request(t, "http://127.0.0.1"), func() ([]byte, error) {
			t.Error("the body is read: " + call.path)
			return nil, nil
		})
		require.NoError(t, err)
		assert.Nil(t, refusal)
	}
}

func TestHowLongACheckTakes(t *testing.T) {
	models := mototest.Models(t)
	for name, call := range map[string]awsCall{
		"events": toJSON("events", "AWSEvents.CreateConnection", fmt.Sprintf(connection, "Bearer none")),
		"ec2":    toForm("ec2", "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=a"),
		"s3":     toS3("PUT", "/builds?versioning", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`),
	} {
		check := func() time.Duration {
			start := time.Now()
			refusal, err := models.Check(call.service, call.request(t, "http://127.0.0.1"), func() ([]byte, error) { return []byte(call.body), nil })
			require.NoError(t, err)
			require.Nil(t, refusal)
			return time.Since(start)
		}
		t.Logf("%s: %s with reading the model, then %s", name, check(), check())
	}
}
