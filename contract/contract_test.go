package contract

import (
	"sort"
	"strings"
	"testing"
)

func TestNoStacksPrefixIsTheBeginningOfAnothers(t *testing.T) {
	a, b := NamePrefix("dev"), NamePrefix("dev-2")
	if strings.HasPrefix(b, a) || strings.HasPrefix(a, b) {
		t.Fatalf("%q and %q overlap: a grant by prefix would reach into the other stack", a, b)
	}
}

func TestJobNamesFitBatch(t *testing.T) {
	stack, user := "s"+strings.Repeat("x", 20), "u"+strings.Repeat("x", 30)
	if !StackPattern.MatchString(stack) || !UserPattern.MatchString(user) {
		t.Fatal("the longest names must match their patterns")
	}
	if n := len(JobName(stack, user)); n > 128 {
		t.Fatalf("job name of %d characters, AWS Batch allows 128", n)
	}
}

func TestExitCodesAreOneAscendingTable(t *testing.T) {
	if !sort.SliceIsSorted(ExitCodes, func(i, j int) bool { return ExitCodes[i].Code < ExitCodes[j].Code }) {
		t.Fatal("ExitCodes must be ascending and free of doubles")
	}
}
