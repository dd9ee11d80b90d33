package narrow

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheKeyKnowsEveryFileButTests(t *testing.T) {
	module, shared := t.TempDir(), t.TempDir()
	key := func() string {
		sum, err := hash(module, shared)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	for _, file := range []string{module + "/go.mod", module + "/build/main.go", shared + "/narrow.go"} {
		write(t, file, "")
	}
	before := key()
	if key() != before {
		t.Error("the same files have two keys")
	}
	write(t, module+"/build/main_test.go", "of a test")
	if key() != before {
		t.Error("a test changes the key")
	}
	for _, file := range []string{module + "/go.mod", module + "/build/main.go", shared + "/narrow.go"} {
		write(t, file, "changed")
		if after := key(); after == before {
			t.Errorf("%s does not change the key", file)
		} else {
			before = after
		}
	}
}

func TestOnlyWantedSourceIsCopied(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, file := range []string{"a.go", "a_test.go", "testdata/b.go", "wanted/c.go", "unwanted/d.go", "unwanted/wanted/e.go"} {
		write(t, filepath.Join(from, file), file)
	}
	err := CopySource(from, to, func(path string, _ os.DirEntry) bool { return path != "unwanted" })
	if err != nil {
		t.Fatal(err)
	}
	var copied []string
	for _, pattern := range []string{"*.go", "*/*.go", "*/*/*.go"} {
		found, _ := filepath.Glob(filepath.Join(to, pattern))
		copied = append(copied, found...)
	}
	if len(copied) != 2 || copied[0] != filepath.Join(to, "a.go") || copied[1] != filepath.Join(to, "wanted/c.go") {
		t.Errorf("copied %v", copied)
	}
}
