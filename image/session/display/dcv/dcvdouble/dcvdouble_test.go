package dcvdouble

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The image's dcv stage takes these names from the real download.
func TestTheArchiveIsPackedAsTheRealOneIs(t *testing.T) {
	dir := t.TempDir()
	file, sum, err := Build(t.Context(), "../../../../..", dir)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "nice-dcv-2025.0-20103-ubuntu2404-x86_64.tgz"), file)

	listed, err := exec.Command("tar", "-tzf", file).Output()
	require.NoError(t, err)
	top := "nice-dcv-2025.0-20103-ubuntu2404-x86_64/"
	assert.Equal(t, []string{
		top,
		top + "nice-dcv-server_2025.0.20103-1_amd64.ubuntu2404.deb",
		top + "nice-dcv-web-viewer_2025.0.20103-1_amd64.ubuntu2404.deb",
		top + "nice-xdcv_2025.0.688-1_amd64.ubuntu2404.deb",
		top + "nice-dcv-gl_2025.0.1112-1_amd64.ubuntu2404.deb",
	}, strings.Fields(string(listed)))

	require.NoError(t, exec.Command("tar", "-C", dir, "-xzf", file).Run())
	contents, err := exec.Command("dpkg-deb", "--contents", filepath.Join(dir, top, "nice-dcv-server_2025.0.20103-1_amd64.ubuntu2404.deb")).Output()
	require.NoError(t, err)
	for _, path := range []string{"./usr/bin/dcv", "./usr/bin/dcvserver", "./usr/lib/x86_64-linux-gnu/dcv/dcvserver", "./etc/dcv/dcv.conf"} {
		assert.Contains(t, string(contents), path+"\n")
	}
	assert.NotContains(t, string(contents), "./usr/share/dcv/www", "the client comes in a package of its own")

	_, again, err := Build(t.Context(), "../../../../..", t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, sum, again, "the same source gives the same archive")
}

func TestTheImageAsksForWhatTheArchiveHas(t *testing.T) {
	text, err := os.ReadFile("../../../../packages/dcv.yaml")
	require.NoError(t, err)
	var wanted struct {
		Version, File, SHA256 string
		Verified              bool
		Packages              []string
	}
	require.NoError(t, yaml.Unmarshal(text, &wanted))
	assert.Equal(t, release, wanted.Version)
	assert.Equal(t, File, wanted.File)
	assert.Regexp(t, "^[0-9a-f]{64}$", wanted.SHA256)
	var has []string
	for _, deb := range debs {
		has = append(has, deb.name)
	}
	assert.Equal(t, has, wanted.Packages)
}
