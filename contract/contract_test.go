package contract

import (
	"fmt"
	"os"
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
	for _, name := range []string{JobName(stack, user), DoctorName(stack, user)} {
		if len(name) > 128 {
			t.Fatalf("job name of %d characters, AWS Batch allows 128", len(name))
		}
	}
}

func TestADoctorsJobIsNoSession(t *testing.T) {
	if name := DoctorName("dev", "alice"); strings.HasPrefix(name, NamePrefix("dev")) {
		t.Fatalf("%q would be listed as a session", name)
	}
}

func TestOperationsTellsEveryExitCode(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## A session's exit codes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := strings.Count(table, "\n| ") - 1 // without its head
	if rows != len(ExitCodes) {
		t.Errorf("%d rows for %d codes", rows, len(ExitCodes))
	}
	for _, code := range ExitCodes {
		again := map[bool]string{true: "yes", false: "no"}[code.Retry]
		if row := fmt.Sprintf("\n| %d | `%s` | %s | %s | ", code.Code, code.Name, again, code.Meaning); !strings.Contains(table, row) {
			t.Errorf("docs/operations.md lacks %q", row)
		}
	}
}

func TestAnExitCodeHasTheNameOfItsRow(t *testing.T) {
	for _, code := range ExitCodes {
		if name := ExitName(code.Code); name != code.Name {
			t.Errorf("%d is %q, not %q", code.Code, name, code.Name)
		}
	}
	if name := ExitName(1); name != ExitName(ExitInternal) {
		t.Errorf("a number that is none of the table is %q", name)
	}
}

func TestExitCodesAreOneAscendingTable(t *testing.T) {
	if !sort.SliceIsSorted(ExitCodes, func(i, j int) bool { return ExitCodes[i].Code < ExitCodes[j].Code }) {
		t.Fatal("ExitCodes must be ascending and free of doubles")
	}
}
