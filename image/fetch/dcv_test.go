package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const bundle = "2025.0/nice-dcv-2025.0-1-ubuntu2404-x86_64.tgz"

// packages is a DCV server's archive, and a source that serves it.
func packages(t *testing.T) (archive []byte, source string) {
	t.Helper()
	const top = "nice-dcv-2025.0-1-ubuntu2404-x86_64/"
	archive = gz(t, tarOf(t, folder(top), file(top+"README.md", ""),
		file(top+"nice-dcv-server_2025.0.1-1_amd64.ubuntu2404.deb", "server"),
		file(top+"nice-dcv-web-viewer_2025.0.1-1_amd64.ubuntu2404.deb", "viewer"),
		file(top+"nice-dcv-gltest_2025.0.1-1_amd64.ubuntu2404.deb", "gltest")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+bundle {
			_, _ = w.Write(archive)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return archive, server.URL
}

func tableWith(t *testing.T, sum string, verified bool, names string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dcv.yaml")
	require.NoError(t, os.WriteFile(name, fmt.Appendf(nil, `# The DCV server.
version: 2025.0-1
file: %s
sha256: %s # of the file
verified: %t
packages: [%s]
`, bundle, sum, verified, names), 0o644))
	return name
}

func command(t *testing.T, source string, args ...string) (string, error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	err := run(t.Context(), args, func(name string) string { return map[string]string{"DCV_SOURCE": source}[name] }, &out, io.Discard)
	left, readErr := os.ReadDir(os.TempDir())
	require.NoError(t, readErr)
	assert.Empty(t, left, "what was downloaded is gone")
	return out.String(), err
}

func TestTheWantedPackagesOfDCVAreUnpacked(t *testing.T) {
	archive, source := packages(t)
	dir := filepath.Join(t.TempDir(), "packages")
	out, err := command(t, source, "dcv", tableWith(t, sumOf(archive), false, "nice-dcv-server, nice-dcv-web-viewer"), dir)
	require.NoError(t, err)
	assert.Equal(t, "DCV server 2025.0-1: 2 packages in "+dir+", checksum unverified by us: run `make pin-dcv` where the network allows\n", out)
	text, err := os.ReadFile(filepath.Join(dir, "nice-dcv-server_2025.0.1-1_amd64.ubuntu2404.deb"))
	require.NoError(t, err)
	assert.Equal(t, "server", string(text))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 2)

	out, err = command(t, source+"/", "dcv", tableWith(t, sumOf(archive), true, "nice-dcv-server"), t.TempDir())
	require.NoError(t, err)
	assert.NotContains(t, out, "unverified")
}

func TestTheImagesTableIsWhole(t *testing.T) {
	_, err := readTable("../packages/dcv.yaml")
	assert.NoError(t, err)
}

func TestAnotherDCVServerThanTheTablesIsRefused(t *testing.T) {
	archive, source := packages(t)
	dir := filepath.Join(t.TempDir(), "packages")
	other := sumOf([]byte("another"))
	_, err := command(t, source, "dcv", tableWith(t, other, true, "nice-dcv-server"), dir)
	assert.ErrorContains(t, err, sumOf(archive))
	assert.ErrorContains(t, err, other)
	assert.NoDirExists(t, dir)
}

func TestAMissingPackageOfDCVIsNamedWithThoseThereAre(t *testing.T) {
	archive, source := packages(t)
	_, err := command(t, source, "dcv", tableWith(t, sumOf(archive), true, "nice-dcv-server, nice-xdcv"), t.TempDir())
	assert.ErrorContains(t, err, "no package nice-xdcv in it, only nice-dcv-server_2025.0.1-1_amd64.ubuntu2404.deb, nice-dcv-web-viewer_")
}

func TestDCVComesByHTTPSOrFromThisMachine(t *testing.T) {
	table := tableWith(t, sumOf(nil), true, "nice-dcv-server")
	for _, source := range []string{"", "http://dcv.example.com", "ftp://127.0.0.1", "/tmp", "https://"} {
		_, err := command(t, source, "dcv", table, t.TempDir())
		assert.ErrorContains(t, err, fmt.Sprintf("DCV_SOURCE is %q; allowed", source))
	}
	redirect := httptest.NewServer(http.RedirectHandler("http://dcv.example.com/", http.StatusFound))
	t.Cleanup(redirect.Close)
	_, err := command(t, redirect.URL, "dcv", table, t.TempDir())
	assert.ErrorContains(t, err, "it leads on to http://dcv.example.com/")
	_, err = command(t, redirect.URL, "dcv", tableWith(t, "short", true, ""), t.TempDir())
	assert.ErrorContains(t, err, "has 2 faults")

	_, source := packages(t)
	_, err = command(t, source+"/elsewhere", "dcv", table, t.TempDir())
	assert.ErrorContains(t, err, "404")
}

func TestPinWritesTheChecksumAndNothingElse(t *testing.T) {
	archive, source := packages(t)
	published := sumOf([]byte("as others published it"))
	table := tableWith(t, published, false, "nice-dcv-server")
	before, err := os.ReadFile(table)
	require.NoError(t, err)
	out, err := command(t, source, "pin", table)
	require.NoError(t, err)
	assert.Contains(t, out, "others published "+published+": find out why")
	after, err := os.ReadFile(table)
	require.NoError(t, err)
	want := bytes.Replace(before, []byte(published), []byte(sumOf(archive)), 1)
	want = bytes.Replace(want, []byte("verified: false"), []byte("verified: true"), 1)
	assert.Equal(t, string(want), string(after))

	out, err = command(t, source, "pin", table)
	require.NoError(t, err, "and again")
	assert.Equal(t, bundle+": still "+sumOf(archive)+"\n", out)
}

func TestPinDoesNotTakeAFileThatChangedUnderItsName(t *testing.T) {
	_, source := packages(t)
	table := tableWith(t, sumOf([]byte("what it was")), true, "nice-dcv-server")
	before, err := os.ReadFile(table)
	require.NoError(t, err)
	_, err = command(t, source, "pin", table)
	assert.ErrorContains(t, err, "it is another file")
	after, err := os.ReadFile(table)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))
}

func TestAWrongCommandIsAnsweredWithTheUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"games"}, {"game", "a", "b"}, {"dcv", "table"}, {"pin"}} {
		_, err := command(t, "", args...)
		assert.ErrorIs(t, err, errUsage, args)
	}
}
