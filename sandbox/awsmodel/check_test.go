package awsmodel

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// check returns a toy service's answer to a body.
func check(t *testing.T, operation, body string) *Refusal {
	t.Helper()
	models, err := Open("testdata")
	require.NoError(t, err)
	call, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
	require.NoError(t, err)
	call.Header.Set("X-Amz-Target", "Toys."+operation)
	refusal, err := models.Check("toys", call, func() ([]byte, error) { return []byte(body), nil })
	require.NoError(t, err)
	return refusal
}

func TestEachKindOfRule(t *testing.T) {
	const name = "Member must satisfy regular expression pattern: [a-zé]+, Member must have length less than or equal to 4, Member must have length greater than or equal to 2"
	for body, constraint := range map[string]string{
		`{}`:                                     "Value null at 'name' failed to satisfy constraint: Member must not be null",
		`{"Name":null}`:                          "Value null at 'name' failed to satisfy constraint: Member must not be null",
		`{"Name":"a"}`:                           "Value 'a' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 2",
		`{"Name":"abcde"}`:                       "Value 'abcde' at 'name' failed to satisfy constraint: Member must have length less than or equal to 4",
		`{"Name":"AB"}`:                          "Value 'AB' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zé]+",
		`{"Name":"ab\n"}`:                        "Value 'ab\n' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zé]+",
		`{"Name":"ab","Count":0}`:                "Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1",
		`{"Name":"ab","Count":11}`:               "Value '11' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10",
		`{"Name":"ab","Ratio":0.6}`:              "Value '0.6' at 'ratio' failed to satisfy constraint: Member must have value less than or equal to 0.5",
		`{"Name":"ab","Size":"Small"}`:           "Value 'Small' at 'size' failed to satisfy constraint: Member must satisfy enum value set: [small, large]",
		`{"Name":"ab","Secret":"open"}`:          "Value at 'secret' failed to satisfy constraint: Member must have length greater than or equal to 8",
		`{"Name":"ab","Names":["ab","ab","ab"]}`: "Value '[ab, ab, ab]' at 'names' failed to satisfy constraint: Member must have length less than or equal to 2",
		`{"Name":"ab","Names":["ab","a"]}`:       "Value '[ab, a]' at 'names' failed to satisfy constraint: Member must satisfy constraint: [" + name + "]",
		`{"Name":"ab","Parts":[{"Id":"ab"},{}]}`: "Value null at 'parts.2.member.id' failed to satisfy constraint: Member must not be null",
		`{"Name":"ab","Labels":{"a":"small"}}`:   "Value '{a=small}' at 'labels' failed to satisfy constraint: Map keys must satisfy constraint: [" + name + "]",
		`{"Name":"ab","Labels":{"ab":"tiny"}}`:   "Value '{ab=tiny}' at 'labels' failed to satisfy constraint: Map value must satisfy constraint: [Member must satisfy enum value set: [small, large]]",
		`{"Name":"ab","Labels":{"ab":"small","ac":"small","ad":"small"}}`: "Value '{ab=small, ac=small, ad=small}' at 'labels' failed to satisfy constraint: Member must have length less than or equal to 2",
		`{"Name":"ab","PartsByName":{"ab":{"Id":"A-"}}}`:                  "Value 'A-' at 'partsByName.ab.member.id' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zé]+",
	} {
		refusal := check(t, "Put", body)
		if assert.NotNil(t, refusal, body) {
			assert.Equal(t, Refusal{"Put", "ValidationException", "1 validation error detected: " + constraint}, *refusal, body)
		}
	}
	refusal := check(t, "Put", `{"Name":"ab","Parts":[{"Id":"ab"},{"Id":"ab"},{"Id":"ab"}]}`)
	require.NotNil(t, refusal)
	assert.Contains(t, refusal.Message, "Value at 'parts' failed", "structures may hold secrets")
	refusal = check(t, "Put", `{"Name":"ab","File":"AAAAAA=="}`)
	require.NotNil(t, refusal)
	assert.Contains(t, refusal.Message, "at 'file' failed to satisfy constraint: Member must have length less than or equal to 3", "of the bytes, not of their base64")
}

func TestEachType(t *testing.T) {
	for body, message := range map[string]string{
		`[]`:                               "Start of list found where not expected at ''",
		`{"Name":1}`:                       "NUMBER_VALUE can not be converted to a String at 'name'",
		`{"Name":{}}`:                      "Start of structure or map found where not expected at 'name'",
		`{"Name":true}`:                    "TRUE_VALUE can not be converted to a String at 'name'",
		`{"Name":"ab","Count":"1"}`:        "STRING_VALUE can not be converted to an Integer at 'count'",
		`{"Name":"ab","Count":1.5}`:        "DECIMAL_VALUE can not be converted to an Integer at 'count'",
		`{"Name":"ab","Count":4294967296}`: "NUMBER_VALUE can not be converted to an Integer at 'count'",
		`{"Name":"ab","On":"true"}`:        "STRING_VALUE can not be converted to a Boolean at 'on'",
		`{"Name":"ab","File":"?"}`:         "STRING_VALUE can not be converted to a Blob at 'file'",
		`{"Name":"ab","When":"now"}`:       "STRING_VALUE can not be converted to a Timestamp at 'when'",
		`{"Name":"ab","Names":"ab"}`:       "STRING_VALUE can not be converted to a List at 'names'",
		`{"Name":"ab","Labels":[]}`:        "Start of list found where not expected at 'labels'",
		`{"Name":"ab","Parts":["a"]}`:      "STRING_VALUE can not be converted to a Structure at 'parts.1.member'",
	} {
		refusal := check(t, "Put", body)
		if assert.NotNil(t, refusal, body) {
			assert.Equal(t, Refusal{"Put", "SerializationException", message}, *refusal, body)
		}
	}
	assert.Equal(t, &Refusal{"Put", "UnknownParameter", "The parameter parts.1.member.name is not recognized"}, check(t, "Put", `{"Name":"ab","Parts":[{"Id":"ab","Name":"ab"}]}`))
	assert.Equal(t, "SerializationException", check(t, "Put", `{`).Code)
	assert.Equal(t, "UnknownOperationException", check(t, "Pull", `{}`).Code)
}

func TestAValidCallHasNoRefusal(t *testing.T) {
	assert.Nil(t, check(t, "Put", `{"Name":"éé","Count":10,"Ratio":-1e9,"On":false,"When":1.5,"File":"AAAA","Size":"small","Secret":"12345678",
		"Names":["ab"],"Parts":[{"Id":"ab"}],"Labels":{"ab":"large"},"PartsByName":{"ab":{"Id":"ab"}},"Anything":{"at":["all",1]}}`))
	assert.Nil(t, check(t, "Put", `{"__type":"x","Name":"ab","Size":null}`))
	assert.Nil(t, check(t, "Ping", ``))
}

func TestPatternsAreJavas(t *testing.T) {
	for _, c := range []struct {
		pattern       string
		match, differ []string
	}{
		{`[a-z]+`, []string{"a", "abc"}, []string{"", "a1", "1a", "a\n"}},
		{`a|^b$`, []string{"a", "b"}, []string{"ab"}},
		{`[\u0009\u000A\u000D\u0020-\u00FF]+`, []string{"a b\n"}, []string{"\u0100", "\x00"}},
		{`[\u10000-\u10FFFF]+`, []string{"\u1000", "05F"}, []string{"\U00010000"}}, // Java reads four digits
		{`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, []string{"", "é x1"}, []string{"!", "\n"}},
		{`^.{1,100000}$`, []string{"a"}, []string{""}},
		{`^(?!\s*$).+`, []string{"a", " a"}, []string{"", "  "}}, // events, ssm
		{`^(?=.{3,2048}$)a:.+`, []string{"a:b"}, []string{"a:", "b:c"}},
		{`^(?![^:\\]*/action/|(?i).*<script>.*</script>.*)[^:\\]+$`, []string{"a/b"}, []string{"a/action/b", "a:b", "x<SCRIPT></script>"}}, // a budget's name
	} {
		p := compile(c.pattern)
		require.NotNil(t, p.whole, c.pattern)
		for _, text := range c.match {
			assert.True(t, p.matches(text), "%s: %q", c.pattern, text)
		}
		for _, text := range c.differ {
			assert.False(t, p.matches(text), "%s: %q", c.pattern, text)
		}
	}
	for _, beyond := range []string{`^[a-z]([a-z]|-(?!-)){1,61}[a-z]$`, `[a-z.]*(?<!\.)`, `(a)\1`} {
		assert.True(t, compile(beyond).matches("--"), "%s is not checked", beyond)
	}
}

func TestTheNewestModelIsRead(t *testing.T) {
	models, err := Open("testdata")
	require.NoError(t, err)
	s, err := models.service("toys")
	require.NoError(t, err)
	assert.Contains(t, s.Operations, "Put")
}

// Each is a moto_server as one of pip's or of a version manager's begins.
func TestTheModelsAreThoseOfThePythonThatRunsMoto(t *testing.T) {
	for name, firstLine := range map[string]string{
		"named by the script":   "#!DIR/own/python3.11",
		"beside a shell script": "#!/usr/bin/env bash",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			python := filepath.Join(dir, "python3")
			if strings.Contains(firstLine, "DIR") {
				python = filepath.Join(dir, "own", "python3.11")
			}
			require.NoError(t, os.MkdirAll(filepath.Dir(python), 0o755))
			require.NoError(t, os.WriteFile(python, []byte("#!/bin/sh\necho /packages/botocore\n"), 0o755))
			server := filepath.Join(dir, "moto_server")
			require.NoError(t, os.WriteFile(server, []byte(strings.Replace(firstLine, "DIR", dir, 1)+"\n"), 0o755))
			found, err := Find(t.Context(), server)
			require.NoError(t, err)
			assert.Equal(t, "/packages/botocore/data", found)
		})
	}
}

func TestWithoutModelsTheErrorNamesWhatIsMissing(t *testing.T) {
	_, err := Find(t.Context(), t.TempDir()+"/moto_server")
	require.ErrorContains(t, err, "AWS's API models come with the moto server")
	_, err = Open(t.TempDir())
	require.ErrorContains(t, err, "AWS's API models: sts in")
	broken := filepath.Join(t.TempDir(), "moto_server")
	require.NoError(t, os.WriteFile(broken, []byte("#!/nowhere/python3\n"), 0o755))
	_, err = Find(t.Context(), broken)
	require.ErrorContains(t, err, "no Python with moto and botocore found for "+broken+" (tried /nowhere/python3, ")
	models, err := Open("testdata")
	require.NoError(t, err)
	call, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
	require.NoError(t, err)
	_, err = models.Check("trains", call, nil)
	require.ErrorIs(t, err, errUnknownService)
}
