package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

func TestWhatIsLeftOutOfTheCLIIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/fidelity.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	for _, o := range omissions {
		if !strings.Contains(text, o.part) {
			t.Errorf("docs/fidelity.md does not name %s", o.part)
		}
	}
}

// The edits quote the release's source, so that this fails for a release which they
// do not fit.
func TestTheOmissionsFitTheReleaseOfGoMod(t *testing.T) {
	t.Chdir("..") // the module's folder, in which the build runs
	source, err := narrow.Download(module)
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := omit(source.Dir, copied); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"cmd/pulumi/cloud/api.go":     `leftout.Command("api")`,
		"cmd/pulumi/cloud/resolve.go": "func ResolveContext(",
		"backend/diy/leftout.go":      "leftout.Error(",
		"backend/diy/backend.go":      "blobmux.OpenBucket(",
	} {
		if text, err := os.ReadFile(filepath.Join(copied, file)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is without %s: %v", file, want, err)
		}
	}
	for _, file := range []string{"cmd/pulumi/cloud/spec.go", "cmd/pulumi/main_test.go", "leftout.go"} {
		if _, err := os.Stat(filepath.Join(copied, file)); err == nil {
			t.Errorf("%s is still there", file)
		}
	}
}

func TestAnEditDropsTheImportsThatItLeavesUnused(t *testing.T) {
	const source = `package p

import (
	"fmt"
	_ "net/http/pprof"
	other "net/url"
)

func f() {
	other.Parse("")
	fmt.Print()
}
`
	dir := t.TempDir()
	file := filepath.Join(dir, "p.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (edit{"p.go", "other.Parse", "fmt.Print", ""}).apply(dir); err != nil {
		t.Fatal(err)
	}
	edited, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(edited); strings.Contains(text, "other") || !strings.Contains(text, "pprof") || !strings.Contains(text, "fmt.Print()") {
		t.Error(text)
	}
}

func TestAnEditMustFitOnce(t *testing.T) {
	for _, e := range []edit{{from: "a", until: "b"}, {from: "x", until: "b"}, {from: "c", until: "b"}} {
		if text, err := e.in("a b a c"); err == nil {
			t.Errorf("%q until %q gives %q", e.from, e.until, text)
		}
	}
}
