package usage

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// files makes or changes the files of a cgroup; an empty text removes one.
func files(t *testing.T, root string, texts map[string]string) string {
	t.Helper()
	for name, text := range texts {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if text == "" {
			require.NoError(t, os.Remove(path))
			continue
		}
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

// version2 are the files of a cgroup as Linux 6.1 has them.
func version2() map[string]string {
	return map[string]string{
		"cgroup.controllers": "cpu io memory pids\n",
		"cpu.stat":           "usage_usec 10000000\nuser_usec 7000000\nsystem_usec 3000000\nnr_periods 0\n",
		"cpu.pressure":       "some avg10=0.12 avg60=0.10 avg300=0.02 total=400000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=100\n",
		"memory.current":     "3221225472\n",
		"memory.stat":        "anon 1\nfile 2\nactive_file 3\ninactive_file 1073741824\nslab 5\n",
		"memory.peak":        "4294967296\n",
		"memory.max":         "8589934592\n",
	}
}

// after returns the figures of ten seconds in which files of a cgroup change.
func after(t *testing.T, c *cgroup, changes map[string]string) (contract.Usage, error) {
	t.Helper()
	files(t, c.root, changes)
	var u contract.Usage
	err := c.measure(&u, period{elapsed: 10 * time.Second})
	return u, err
}

func TestACgroupOfVersion2IsMeasured(t *testing.T) {
	u, err := after(t, newCgroup(files(t, t.TempDir(), version2())), map[string]string{
		"cpu.stat":     "usage_usec 25000000\nuser_usec 1\n",
		"cpu.pressure": "some avg10=0.12 avg60=0.10 avg300=0.02 total=900000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=100\n",
	})
	require.NoError(t, err)
	assert.Equal(t, contract.Usage{
		CPUCores: float(1.5), CPUPressurePercent: float(5),
		MemoryMiB: float(2048), MemoryPeakMiB: float(4096), MemoryLimitMiB: float(8192), MemoryPercent: float(25),
	}, u, "files that the kernel can drop at once fill nothing")
}

func TestACgroupOfVersion1IsMeasured(t *testing.T) {
	root := files(t, t.TempDir(), map[string]string{
		"cpuacct/cpuacct.usage":            "1000000000\n",
		"memory/memory.usage_in_bytes":     "209715200\n",
		"memory/memory.stat":               "cache 1\ninactive_file 7\ntotal_inactive_file 104857600\n",
		"memory/memory.max_usage_in_bytes": "314572800\n",
		"memory/memory.limit_in_bytes":     "9223372036854771712\n",
	})
	u, err := after(t, newCgroup(root), map[string]string{"cpuacct/cpuacct.usage": "6000000000\n"})
	require.NoError(t, err, "version 1 has no pressure, and lacks none")
	assert.Equal(t, contract.Usage{CPUCores: float(0.5), MemoryMiB: float(100), MemoryPeakMiB: float(300)}, u, "such a limit is none")
}

func TestWhatACgroupLacksIsLeftOutAndNamed(t *testing.T) {
	for name, test := range map[string]struct {
		changes map[string]string
		without func(*contract.Usage)
		named   string // "": it is no fault
	}{
		"no peak, before Linux 5.19": {map[string]string{"memory.peak": ""}, func(u *contract.Usage) { u.MemoryPeakMiB = nil }, "memory.peak"},
		"no pressure":                {map[string]string{"cpu.pressure": ""}, func(u *contract.Usage) { u.CPUPressurePercent = nil }, "cpu.pressure"},
		"no limit":                   {map[string]string{"memory.max": "max\n"}, func(u *contract.Usage) { u.MemoryLimitMiB, u.MemoryPercent = nil, nil }, ""},
		"nonsense":                   {map[string]string{"memory.current": "a lot\n"}, func(u *contract.Usage) { u.MemoryMiB, u.MemoryPercent = nil, nil }, "memory.current"},
		"nothing": {map[string]string{"cpu.stat": "", "cpu.pressure": "", "memory.current": "", "memory.peak": "", "memory.max": ""},
			func(u *contract.Usage) { *u = contract.Usage{} }, "cpu.stat, cpu.pressure, memory.peak, memory.current"},
		"a count that began anew": {map[string]string{"cpu.stat": "usage_usec 5\n"}, func(u *contract.Usage) { u.CPUCores = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := after(t, newCgroup(files(t, t.TempDir(), version2())), nil)
			require.NoError(t, err)
			test.without(&want)
			got, err := after(t, newCgroup(files(t, t.TempDir(), version2())), test.changes)
			assert.Equal(t, want, got)
			if test.named == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, "no number in "+test.named)
			}
		})
	}
}

func TestThisMachinesOwnCgroupIsMeasured(t *testing.T) {
	found, err := CheckCgroup("")
	if err != nil {
		t.Skip("SKIPPED: this machine shows no cgroup of a container: ", err)
	}
	assert.Regexp(t, `^\d+\.\d\d cores, [1-9]\d* MiB`, found)
}
