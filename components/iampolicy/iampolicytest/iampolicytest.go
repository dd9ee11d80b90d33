// Package iampolicytest reads recorded IAM policies in tests.
package iampolicytest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

// Statements returns the statements of a recorded resource's policy.
func Statements(t *testing.T, made componenttest.Resource) []iampolicy.Statement {
	t.Helper()
	var document iampolicy.Document
	made.JSON(t, "policy", &document)
	return document.Statement
}

// Matches reports whether IAM matches one of the patterns with a text: * stands for
// any characters, in an ARN across its colons too.
func Matches(patterns iampolicy.List, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
		return regexp.MustCompile(`^` + quoted + `$`).MatchString(text)
	})
}

// Allows reports whether one of the statements allows an action on a resource;
// conditions count as fulfilled.
func Allows(statements []iampolicy.Statement, action, resource string) bool {
	return slices.ContainsFunc(statements, func(s iampolicy.Statement) bool {
		return s.Effect == "Allow" && Matches(s.Action, action) && Matches(s.Resource, resource)
	})
}
