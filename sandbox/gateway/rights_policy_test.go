package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const userSecret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/users/ada-AbCdEf"

func read(resource string) need {
	return need{action: "secretsmanager:GetSecretValue", resource: resource}
}

// said returns a document's verdict on a need.
func said(text string, n need) (verdict, error) {
	p, err := parsePolicy("p", text, rightsGrammar)
	if err != nil {
		return unsaid, err
	}
	return decide([]policy{p}, n)
}

func statements(list ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`
}

func TestAPolicyDecidesByActionAndResource(t *testing.T) {
	const (
		users   = "arn:aws:secretsmanager:*:123456789012:secret:dcv-sessions/dev/users/*"
		stream  = "arn:aws:logs:us-east-1:123456789012:log-group:/dcv:log-stream:a/b"
		group   = "arn:aws:logs:us-east-1:123456789012:log-group:/dcv:log-stream:"
		streams = "arn:aws:logs:us-east-1:123456789012:log-group:/dcv:*"
	)
	for name, c := range map[string]struct {
		actions, resources string
		need               need
		want               verdict
	}{
		"exact":                    {`"secretsmanager:GetSecretValue"`, `"` + userSecret + `"`, read(userSecret), allowed},
		"lists":                    {`["s3:GetObject","secretsmanager:GetSecretValue"]`, `["arn:aws:s3:::b/*","` + userSecret + `"]`, read(userSecret), allowed},
		"wildcard":                 {`"secretsmanager:Get*"`, `"` + users + `"`, read(userSecret), allowed},
		"one character":            {`"secretsmanager:GetSecretValu?"`, `"` + strings.Replace(userSecret, "ada", "a?a", 1) + `"`, read(userSecret), allowed},
		"case of the action":       {`"SecretsManager:getsecretVALUE"`, `"*"`, read(userSecret), allowed},
		"everything":               {`"*"`, `"*"`, read(userSecret), allowed},
		"another action":           {`"secretsmanager:DescribeSecret"`, `"*"`, read(userSecret), unsaid},
		"another resource":         {`"*"`, `"` + users + `"`, read(strings.Replace(userSecret, "users", "admins", 1)), unsaid},
		"another stack":            {`"*"`, `"` + users + `"`, read(strings.Replace(userSecret, "/dev/", "/prod/", 1)), unsaid},
		"case of the resource":     {`"*"`, `"` + strings.ToUpper(userSecret) + `"`, read(userSecret), unsaid},
		"no prefix of it":          {`"secretsmanager:Get"`, `"*"`, read(userSecret), unsaid},
		"a point is a point":       {`"secretsmanager.GetSecretValue"`, `"*"`, read(userSecret), unsaid},
		"wildcard ends at a colon": {`"*"`, `"arn:aws:secretsmanager:*:secret:x:y"`, read("arn:aws:secretsmanager:us-east-1:123456789012:secret:x:y"), unsaid},
		"a log stream":             {`"logs:*"`, `"` + streams + `"`, need{action: "logs:PutLogEvents", resource: stream}, allowed},
		"a log group":              {`"logs:*"`, `"` + streams + `"`, need{action: "logs:FilterLogEvents", resource: group}, allowed},
		"a longer group's name":    {`"logs:*"`, `"` + streams + `"`, need{action: "logs:FilterLogEvents", resource: strings.Replace(group, "/dcv", "/dcv2", 1)}, unsaid},
		"no resource level":        {`"batch:ListJobs"`, `"*"`, need{action: "batch:ListJobs", resource: "*"}, allowed},
		"an ARN for no resource":   {`"batch:ListJobs"`, `"arn:aws:batch:*:*:job/*"`, need{action: "batch:ListJobs", resource: "*"}, unsaid},
		"resource not known":       {`"kms:Decrypt"`, `"*"`, need{action: "kms:Decrypt"}, allowed},
		"another, not known":       {`"kms:Encrypt"`, `"arn:aws:kms:*:*:key/*"`, need{action: "kms:Decrypt"}, unsaid},
		"nameless, whole service":  {`"s3:*"`, `"*"`, need{action: "s3:PUT", nameless: true}, allowed},
		"nameless, everything":     {`"*"`, `"*"`, need{action: "s3:PUT", nameless: true}, allowed},
		"nameless, other service":  {`"s3-outposts:*"`, `"*"`, need{action: "s3:PUT", nameless: true}, unsaid},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := said(statements(`{"Effect":"Allow","Action":`+c.actions+`,"Resource":`+c.resources+`}`), c.need)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestADocumentMayHaveOneStatementWithoutAList(t *testing.T) {
	got, err := said(`{"Id":"x","Version":"2008-10-17","Statement":{"Sid":"S","Effect":"Allow","Action":"*","Resource":"*"}}`, read(userSecret))
	require.NoError(t, err)
	assert.Equal(t, allowed, got)
}

func TestAnExplicitDenyWinsWhereverItStands(t *testing.T) {
	const allow = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	const deny = `{"Effect":"Deny","Action":"secretsmanager:*","Resource":"arn:aws:secretsmanager:*:*:secret:dcv-sessions/dev/users/*"}`
	for _, order := range []string{statements(allow, deny), statements(deny, allow)} {
		got, err := said(order, read(userSecret))
		require.NoError(t, err)
		assert.Equal(t, denied, got)
	}
	first, err := parsePolicy("first", statements(allow), rightsGrammar)
	require.NoError(t, err)
	second, err := parsePolicy("second", statements(deny), rightsGrammar)
	require.NoError(t, err)
	for _, order := range [][]policy{{first, second}, {second, first}} {
		got, err := decide(order, read(userSecret))
		require.NoError(t, err)
		assert.Equal(t, denied, got)
	}
}

func TestConditionsCompareTags(t *testing.T) {
	const (
		request  = `{"StringEquals":{"aws:RequestTag/stack":"dev"}}`
		resource = `{"StringEquals":{"aws:ResourceTag/stack":["test","dev"]}}`
		ifExists = `{"StringEqualsIfExists":{"aws:RequestTag/stack":"dev"}}`
		both     = `{"StringEquals":{"aws:RequestTag/stack":"dev","aws:ResourceTag/stack":"dev"}}`
		keys     = `{"ForAllValues:StringEquals":{"aws:TagKeys":["stack","other"]}}`
	)
	tags := func(value string) map[string]string { return map[string]string{"stack": value, "other": "dev"} }
	none := map[string]string{}
	for name, c := range map[string]struct {
		condition string
		need      need
		want      verdict
	}{
		"request tag":                  {request, need{requestTags: tags("dev")}, allowed},
		"another value":                {request, need{requestTags: tags("prod")}, unsaid},
		"another value's case":         {request, need{requestTags: tags("DEV")}, unsaid},
		"no such tag":                  {request, need{requestTags: none}, unsaid},
		"the key's case":               {strings.Replace(request, "aws:RequestTag/stack", "AWS:requesttag/STACK", 1), need{requestTags: tags("dev")}, allowed},
		"resource tag, one of":         {resource, need{resourceTags: tags("dev")}, allowed},
		"resource tag, none of":        {resource, need{resourceTags: tags("prod")}, unsaid},
		"no wildcards":                 {strings.Replace(request, "dev", "*", 1), need{requestTags: tags("dev")}, unsaid},
		"if exists, without":           {ifExists, need{requestTags: none}, allowed},
		"if exists, equal":             {ifExists, need{requestTags: tags("dev")}, allowed},
		"if exists, another":           {ifExists, need{requestTags: tags("prod")}, unsaid},
		"all keys":                     {both, need{requestTags: tags("dev"), resourceTags: tags("dev")}, allowed},
		"one of two keys":              {both, need{requestTags: tags("dev"), resourceTags: tags("prod")}, unsaid},
		"the other of two keys":        {both, need{requestTags: tags("prod"), resourceTags: tags("dev")}, unsaid},
		"every tag's key":              {keys, need{requestTags: tags("dev")}, allowed},
		"one key too many":             {keys, need{requestTags: map[string]string{"stack": "dev", "third": "a"}}, unsaid},
		"a key's case":                 {keys, need{requestTags: map[string]string{"STACK": "dev"}}, unsaid},
		"no tag at all":                {keys, need{requestTags: none}, allowed},
		"two operators, one that fits": {`{"StringEquals":{"aws:RequestTag/stack":"dev"},"StringEqualsIfExists":{"aws:RequestTag/other":"x"}}`, need{requestTags: tags("dev")}, unsaid},
	} {
		t.Run(name, func(t *testing.T) {
			c.need.action, c.need.resource = "batch:TagResource", "arn:aws:batch:us-east-1:123456789012:job/1"
			got, err := said(statements(`{"Effect":"Allow","Action":"batch:*","Resource":"*","Condition":`+c.condition+`}`), c.need)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestPolicyVariablesStandForTheCallsValues(t *testing.T) {
	const session = "arn:aws:ssm:us-east-1:123456789012:session/"
	own := `{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{"StringEquals":{"ssm:resourceTag/aws:ssmmessages:session-id":"${aws:userid}"}}}`
	named := `{"Effect":"Allow","Action":"ssm:*","Resource":"` + session + `${aws:userid}-*"}`
	absent := `{"Effect":"Allow","Action":"ssm:*","Resource":"` + session + `${aws:username}*"}`
	call := func(id, owner string) need {
		return need{action: "ssm:TerminateSession", resource: session + id, resourceTags: map[string]string{"aws:ssmmessages:session-id": owner},
			keys: map[string]string{"aws:userid": "AROA1:run-7", "aws:username": ""}}
	}
	for name, c := range map[string]struct {
		statement string
		need      need
		want      verdict
	}{
		"condition":            {own, call("run-7-0a", "AROA1:run-7"), allowed},
		"condition, another":   {own, call("run-7-0a", "AROA2:run-7"), unsaid},
		"condition, longer":    {own, call("run-7-0a", "AROA1:run-70"), unsaid},
		"condition, no tag":    {own, need{action: "ssm:TerminateSession", resource: session + "x", resourceTags: map[string]string{}, keys: map[string]string{"aws:userid": "a"}}, unsaid},
		"resource":             {named, call("AROA1:run-7-0a", ""), allowed},
		"resource of a role":   {named, call("run-7-0a", ""), unsaid},
		"no value, no match":   {absent, call("run-7-0a", ""), unsaid},
		"the variable's case":  {strings.Replace(own, "aws:userid", "AWS:UserId", 1), call("run-7-0a", "AROA1:run-7"), allowed},
		"two values, one that": {strings.Replace(own, `"${aws:userid}"`, `["${aws:username}","${aws:userid}"]`, 1), call("run-7-0a", "AROA1:run-7"), allowed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := said(statements(c.statement), c.need)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	wild := call("run-7-0a", "")
	wild.keys["aws:userid"] = "*"
	_, err := said(statements(named), wild)
	require.ErrorContains(t, err, "${aws:userid}")
	_, err = said(strings.Replace(statements(named), "2012-10-17", "2008-10-17", 1), call("x", ""))
	require.ErrorContains(t, err, "${aws:userid}", "it is a plain text there")
}

func TestConditionsCompareARNsAndBooleans(t *testing.T) {
	const rule = "arn:aws:events:us-east-1:123456789012:rule/a"
	for condition, want := range map[string]verdict{
		`{"ArnEquals":{"aws:SourceArn":"` + rule + `"}}`:                          allowed,
		`{"ArnEquals":{"aws:SourceArn":"arn:aws:events:*:123456789012:rule/*"}}`:  allowed,
		`{"ArnLike":{"aws:SourceArn":["arn:aws:s3:::b","` + rule + `"]}}`:         allowed,
		`{"ArnLike":{"aws:SourceArn":"arn:aws:events:*:rule/a"}}`:                 unsaid,
		`{"ArnLike":{"aws:SourceArn":"` + rule + `b"}}`:                           unsaid,
		`{"ArnLike":{"aws:PrincipalArn":"*"}}`:                                    unsaid,
		`{"Bool":{"aws:SecureTransport":"TRUE"}}`:                                 allowed,
		`{"Bool":{"aws:SecureTransport":"false"}}`:                                unsaid,
		`{"StringEqualsIfExists":{"aws:PrincipalArn":"x"}}`:                       allowed,
		`{"StringEqualsIfExists":{"aws:SourceArn":"x"}}`:                          unsaid,
		`{"Bool":{"aws:SecureTransport":"true"},"ArnLike":{"aws:SourceArn":"x"}}`: unsaid,
	} {
		n := read(userSecret)
		n.keys = map[string]string{"aws:sourcearn": rule, "aws:securetransport": "true", "aws:principalarn": ""}
		got, err := said(statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+condition+`}`), n)
		require.NoError(t, err, condition)
		assert.Equal(t, want, got, condition)
	}
}

func TestWhatTheSandboxDoesNotKnowIsAnErrorAndNeverAPass(t *testing.T) {
	const fits = `"Action":"secretsmanager:GetSecretValue","Resource":"*"`
	condition := func(c string) string { return `{"Effect":"Allow",` + fits + `,"Condition":` + c + `}` }
	nameless := need{action: "s3:PUT", nameless: true}
	for name, c := range map[string]struct {
		statement string
		need      need
		element   string
	}{
		"NotAction":            {`{"Effect":"Allow","NotAction":"x:Y","Resource":"*"}`, read(userSecret), "NotAction"},
		"NotResource":          {`{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::b"}`, read(userSecret), "NotResource"},
		"Principal":            {`{"Effect":"Allow","Principal":"*",` + fits + `}`, read(userSecret), "Principal"},
		"NotPrincipal":         {`{"Effect":"Allow","NotPrincipal":"*",` + fits + `}`, read(userSecret), "NotPrincipal"},
		"elsewhere too":        {`{"Effect":"Allow","Action":"x:Y","NotResource":"arn:aws:s3:::b"}`, read(userSecret), "NotResource"},
		"an element's case":    {`{"Effect":"Allow","action":"*","Resource":"*"}`, read(userSecret), "action"},
		"Effect":               {`{"Effect":"Perhaps",` + fits + `}`, read(userSecret), "Perhaps"},
		"no Effect":            {`{` + fits + `}`, read(userSecret), "Effect"},
		"no Resource":          {`{"Effect":"Allow","Action":"*"}`, read(userSecret), "Resource"},
		"operator":             {condition(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), read(userSecret), "IpAddress"},
		"operator of a known":  {condition(`{"StringLike":{"aws:RequestTag/stack":"*"}}`), read(userSecret), "StringLike"},
		"key":                  {condition(`{"StringEquals":{"kms:ViaService":"sns.us-east-1.amazonaws.com"}}`), read(userSecret), "kms:ViaService"},
		"key, if exists":       {condition(`{"StringEqualsIfExists":{"kms:ViaService":"x"}}`), read(userSecret), "kms:ViaService"},
		"tags not known":       {condition(`{"StringEquals":{"aws:ResourceTag/stack":"dev"}}`), read(userSecret), "aws:ResourceTag/stack"},
		"beside one that isnt": {condition(`{"StringEquals":{"aws:RequestTag/a":"x","zz:Key":"y"}}`), need{action: "secretsmanager:GetSecretValue", resource: userSecret, requestTags: map[string]string{}}, "zz:Key"},
		"variable, condition":  {condition(`{"StringEquals":{"aws:RequestTag/a":"${aws:username}"}}`), need{action: "secretsmanager:GetSecretValue", resource: userSecret, requestTags: map[string]string{}}, "${aws:username}"},
		"two tags for one key": {condition(`{"StringEquals":{"aws:RequestTag/a":"x"}}`), need{action: "secretsmanager:GetSecretValue", resource: userSecret, requestTags: map[string]string{"a": "x", "A": "y"}}, "aws:RequestTag/a"},
		"variable, resource":   {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/user}"}`, read(userSecret), "${aws:PrincipalTag/user}"},
		"half an ARN":          {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:secretsmanager*"}`, read(userSecret), "arn:aws:secretsmanager*"},
		"resource not known":   {`{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:*:key/*"}`, need{action: "kms:Decrypt"}, "kms:Decrypt"},
		"nameless":             {`{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}`, nameless, "s3:PutObject"},
		"nameless, by half":    {`{"Effect":"Allow","Action":["s3:Put*"],"Resource":"*"}`, nameless, "s3:Put*"},
		"nameless, resource":   {`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`, nameless, "s3:PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, effect := range []string{"Allow", "Deny"} {
				unknown := strings.Replace(c.statement, `"Effect":"Allow"`, fmt.Sprintf(`"Effect":%q`, effect), 1)
				for _, document := range []string{statements(unknown), statements(`{"Effect":"Allow","Action":"*","Resource":"*"}`, unknown)} {
					got, err := said(document, c.need)
					require.ErrorContains(t, err, c.element)
					require.ErrorContains(t, err, `policy "p"`)
					assert.Equal(t, unsaid, got)
				}
			}
		})
	}
	for _, document := range []string{`{"Version":"2030-01-01","Statement":[]}`, `{"Statements":[]}`, `{"Statement":"x"}`, `[]`, ``} {
		_, err := said(document, read(userSecret))
		require.Error(t, err, document)
	}
}

// AWS's own policies have conditions on calls that the sandbox never makes.
func TestAnUnknownConditionIsNoMatterWhereItsStatementDoesNotFit(t *testing.T) {
	const condition = `"Condition":{"Bool":{"aws:SecureTransport":false}}}`
	document := statements(`{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}`,
		`{"Effect":"Allow","Action":"ecs:TagResource","Resource":"*",`+condition,
		`{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::bucket/${aws:username}-is-no-matter-for-a-later-part",`+condition)
	_, err := said(document, read(userSecret))
	require.ErrorContains(t, err, "${aws:username}", "a variable could stand for anything")
	document = statements(`{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}`,
		`{"Effect":"Allow","Action":"ecs:TagResource","Resource":"arn:aws:ecs:*:*:${aws:username}",`+condition,
		`{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::bucket/*",`+condition)
	got, err := said(document, read(userSecret))
	require.NoError(t, err)
	assert.Equal(t, allowed, got)
}

func TestATrustPolicyAdmitsWhomItNames(t *testing.T) {
	const me, other = "arn:aws:iam::123456789012:role/me", "arn:aws:iam::123456789012:role/other"
	var (
		service = principal{service: "ecs-tasks.amazonaws.com"}
		admin   = principal{account: "123456789012"}
		role    = principal{account: "123456789012", roleARN: me}
	)
	allow := func(principal string) string {
		return `{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}`
	}
	for name, c := range map[string]struct {
		document string
		who      principal
		want     trust
	}{
		"service":              {statements(allow(`{"Service":"ecs-tasks.amazonaws.com"}`)), service, byName},
		"one of the services":  {statements(allow(`{"Service":["ec2.amazonaws.com","ecs-tasks.amazonaws.com"]}`)), service, byName},
		"another service":      {statements(allow(`{"Service":"ec2.amazonaws.com"}`)), service, distrusted},
		"service, not account": {statements(allow(`{"Service":"ecs-tasks.amazonaws.com"}`)), admin, distrusted},
		"account, not service": {statements(allow(`{"AWS":"123456789012"}`)), service, distrusted},
		"account":              {statements(allow(`{"AWS":"123456789012"}`)), admin, byAccount},
		"account's root":       {statements(allow(`{"AWS":"arn:aws:iam::123456789012:root"}`)), role, byAccount},
		"another account":      {statements(allow(`{"AWS":["210987654321","arn:aws:iam::210987654321:root"]}`)), admin, distrusted},
		"everyone":             {statements(allow(`"*"`)), role, byAccount},
		"everyone of AWS":      {statements(allow(`{"AWS":"*"}`)), admin, byAccount},
		"role":                 {statements(allow(`{"AWS":["` + other + `","` + me + `"]}`)), role, byName},
		"another role":         {statements(allow(`{"AWS":"` + other + `"}`)), role, distrusted},
		"role, not admin":      {statements(allow(`{"AWS":"` + me + `"}`)), admin, distrusted},
		"another action":       {strings.Replace(statements(allow(`"*"`)), "sts:AssumeRole", "sts:TagSession", 1), admin, distrusted},
		"deny":                 {statements(strings.Replace(allow(`"*"`), "Allow", "Deny", 1), allow(`{"AWS":"`+me+`"}`)), role, forbidden},
		"deny of another":      {statements(strings.Replace(allow(`{"AWS":"`+other+`"}`), "Allow", "Deny", 1), allow(`"*"`)), role, byAccount},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parsePolicy("trust policy", c.document, trustGrammar)
			require.NoError(t, err)
			got, err := p.trusts(c.who)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestWhatTheSandboxDoesNotKnowOfATrustPolicyIsAnError(t *testing.T) {
	admin, service := principal{account: "123456789012"}, principal{service: "ecs-tasks.amazonaws.com"}
	for name, c := range map[string]struct {
		statement string
		who       principal
		element   string
	}{
		"Federated":        {`{"Effect":"Allow","Principal":{"AWS":"*","Federated":"x"},"Action":"sts:AssumeRole"}`, admin, "Federated"},
		"NotPrincipal":     {`{"Effect":"Deny","NotPrincipal":{"AWS":"*"},"Action":"sts:AssumeRole"}`, admin, "NotPrincipal"},
		"Resource":         {`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`, admin, "Resource"},
		"no Principal":     {`{"Effect":"Allow","Action":"sts:AssumeRole"}`, admin, "Principal"},
		"a user":           {`{"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:user/u"]},"Action":"sts:AssumeRole"}`, admin, "user/u"},
		"a session":        {`{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/r/s"},"Action":"sts:*"}`, admin, "assumed-role"},
		"half a wildcard":  {`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/*"},"Action":"*"}`, admin, "role/*"},
		"condition":        {`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}}`, admin, "sts:ExternalId"},
		"service of all":   {`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`, service, "ecs-tasks"},
		"service's source": {`{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"ArnLike":{"aws:SourceArn":"x"}}}`, service, "aws:SourceArn"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parsePolicy("trust policy", statements(c.statement), trustGrammar)
			how := distrusted
			if err == nil {
				how, err = p.trusts(c.who)
			}
			require.ErrorContains(t, err, c.element)
			assert.Equal(t, distrusted, how)
		})
	}
}
