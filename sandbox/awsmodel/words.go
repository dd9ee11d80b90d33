package awsmodel

import (
	"cmp"
	"fmt"
	"strings"
)

// Refusal is AWS's answer to a call that violates its model.
type Refusal struct {
	Operation string // "" if the call names none that exists
	Code      string // e.g. "ValidationException"
	Message   string
}

// codes are the error codes of violated rules, by service; the others answer
// with ValidationException (https://github.com/aws/aws-cli/issues/790).
var codes = map[string]string{
	"batch":      "ClientException",           // the one client error of its operations, https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html
	"ecr":        "InvalidParameterException", // https://github.com/jenkins-x/jx/issues/1344
	"iam":        "ValidationError",           // https://github.com/kubernetes/kops/issues/4729
	"logs":       "InvalidParameterException", // https://github.com/fluent-plugins-nursery/fluent-plugin-cloudwatch-logs/issues/223
	"monitoring": "ValidationError",           // of the query protocol, as the next two
	"sns":        "ValidationError",
	"sts":        "ValidationError",
}

// refuse writes violations as the service does.
func (s *service) refuse(operation string, found []violation) *Refusal {
	r := &Refusal{Operation: operation}
	first := found[0]
	switch {
	case s.name == "s3":
		r.Code, r.Message = wordsOfS3(first)
	case s.Metadata.Protocol == "ec2" || s.name == "sqs":
		r.Code, r.Message = wordsOfEC2(first)
	case first.kind == unknownMember:
		// AWS's other services ignore unknown members. They are refused here, in
		// EC2's words, because the caller meant something by them.
		r.Code, r.Message = wordsOfEC2(violation{kind: unknownMember, at: path{wire: first.at.member}})
	case first.kind == wrongType && s.Metadata.Protocol != "query":
		r.Code, r.Message = "SerializationException", first.rule+" at '"+first.at.member+"'"
	case s.name == "ecr":
		r.Code, r.Message = codes["ecr"], wordsOfECR(first)
	default:
		r.Code, r.Message = cmp.Or(codes[s.name], "ValidationException"), words(found)
	}
	return r
}

// words lists violations as most services do.
func words(found []violation) string {
	parts := make([]string, len(found))
	for i, v := range found {
		value := " null"
		switch {
		case v.hidden: // https://github.com/kubernetes-sigs/cluster-api-provider-aws/issues/1531
			value = ""
		case v.value != nil:
			value = " '" + shown(v.value) + "'"
		}
		parts[i] = fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: %s", value, v.at.member, v.words())
	}
	errors := "error"
	if len(found) > 1 {
		errors = "errors"
	}
	return fmt.Sprintf("%d validation %s detected: %s", len(found), errors, strings.Join(parts, "; "))
}

func (v violation) words() string { return rule{text: v.rule, pattern: v.text}.words() }

// wordsOfECR: https://github.com/jenkins-x/jx/issues/1344
func wordsOfECR(v violation) string {
	rule := strings.TrimPrefix(v.rule, "Member ")
	if v.text != "" {
		rule += " '" + v.text + "'"
	}
	return fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s'", v.at.member, rule)
}

// wordsOfEC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func wordsOfEC2(v violation) (code, message string) {
	switch v.kind {
	case missing:
		return "MissingParameter", "The request must contain the parameter " + v.at.wire
	case unknownMember:
		return "UnknownParameter", "The parameter " + v.at.wire + " is not recognized"
	}
	value := ""
	if !v.hidden {
		value = "(" + shown(v.value) + ") "
	}
	return "InvalidParameterValue", fmt.Sprintf("Value %sfor parameter %s is invalid. %s", value, v.at.wire, v.words())
}

// wordsOfS3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
// S3 does not name the member in XML; it is added.
func wordsOfS3(v violation) (code, message string) {
	where := v.at.wire
	switch {
	case strings.Contains(where, "."):
		return "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema: " + where + ": " + v.words()
	case v.kind == missing:
		return "InvalidRequest", "Missing required header or parameter for this request: " + where
	}
	return "InvalidArgument", "Invalid Argument: " + where + ": " + v.words()
}
