package usage

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// cgroupRoot is the folder in which a container sees its own cgroup.
const cgroupRoot = "/sys/fs/cgroup"

// reading is a number in a file of a cgroup.
type reading struct {
	file  string
	after string  // the text before the number; "": it is the file's beginning
	unit  float64 // of the number: seconds, or bytes
}

// cgroupFiles has the readings of a cgroup. One without a file is not in this version.
type cgroupFiles struct {
	cpu     reading // used, growing
	stalled reading // the time in which some process waited for a core, growing
	memory  reading // with the file cache
	dropped reading // the part of memory that the kernel takes back first: files that were not read lately
	peak    reading // the most of memory; kernels before 5.19 have none
	limit   reading // "max", or beyond unlimited, if there is none
}

// The versions of cgroups (Linux, Documentation/admin-guide/cgroup-v2.rst, and
// cgroup-v1/memory.rst and cpuacct.rst). The hosts' Amazon Linux 2023 has version 2; a
// machine that runs the sandbox may have version 1.
var (
	cgroupV2 = cgroupFiles{
		cpu:     reading{"cpu.stat", "usage_usec ", 1e-6},
		stalled: reading{"cpu.pressure", "total=", 1e-6}, // the first line is "some"
		memory:  reading{"memory.current", "", 1},
		dropped: reading{"memory.stat", "\ninactive_file ", 1},
		peak:    reading{"memory.peak", "", 1},
		limit:   reading{"memory.max", "", 1},
	}
	cgroupV1 = cgroupFiles{
		cpu:     reading{"cpuacct/cpuacct.usage", "", 1e-9},
		memory:  reading{"memory/memory.usage_in_bytes", "", 1},
		dropped: reading{"memory/memory.stat", "\ntotal_inactive_file ", 1},
		peak:    reading{"memory/memory.max_usage_in_bytes", "", 1},
		limit:   reading{"memory/memory.limit_in_bytes", "", 1},
	}
)

// unlimited is more memory than a host has: version 1 writes no limit as a number near
// 2^63.
const unlimited = 1 << 60

const mebibyte = 1 << 20

// cgroup measures processor and memory.
type cgroup struct {
	root  string
	files cgroupFiles

	cpu, stalled *float64 // at the last call
}

// newCgroup returns the cgroup below a root, from now on.
func newCgroup(root string) *cgroup {
	c := &cgroup{root: root, files: cgroupV2}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil && c.read(cgroupV1.cpu, &faultyFiles{}) != nil {
		c.files = cgroupV1
	}
	var ignored faultyFiles
	c.cpu, c.stalled = c.read(c.files.cpu, &ignored), c.read(c.files.stalled, &ignored)
	return c
}

func (c *cgroup) name() string { return "cgroup" }

func (c *cgroup) measure(u *contract.Usage, p period) error {
	var faulty faultyFiles
	u.CPUCores = grown(&c.cpu, c.read(c.files.cpu, &faulty), p.elapsed)
	if waited := grown(&c.stalled, c.read(c.files.stalled, &faulty), p.elapsed); waited != nil {
		u.CPUPressurePercent = float(min(*waited*100, 100))
	}
	u.MemoryPeakMiB = divided(c.read(c.files.peak, &faulty), mebibyte)
	if memory := c.read(c.files.memory, &faulty); memory != nil {
		if dropped := c.read(c.files.dropped, &faulty); dropped != nil {
			*memory = max(*memory-*dropped, 0)
		}
		u.MemoryMiB = divided(memory, mebibyte)
	}
	if limit := c.read(c.files.limit, nil); limit != nil && *limit > 0 && *limit < unlimited {
		u.MemoryLimitMiB = divided(limit, mebibyte)
		u.MemoryPercent = percent(u.MemoryMiB, u.MemoryLimitMiB)
	}
	return faulty.error()
}

// read returns a reading, or nil.
func (c *cgroup) read(r reading, faulty *faultyFiles) *float64 {
	if r.file == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(c.root, r.file))
	if err == nil {
		_, number, found := strings.Cut("\n"+string(text), cmp.Or(r.after, "\n"))
		end := strings.IndexFunc(number, func(c rune) bool { return c < '0' || c > '9' })
		if end < 0 {
			end = len(number)
		}
		if value, err := strconv.ParseFloat(number[:end], 64); found && err == nil {
			return float(value * r.unit)
		}
	}
	if faulty != nil && !slices.Contains(*faulty, r.file) {
		*faulty = append(*faulty, r.file)
	}
	return nil
}

// faultyFiles are files that lack a number.
type faultyFiles []string

func (f faultyFiles) error() error {
	if len(f) == 0 {
		return nil
	}
	return fmt.Errorf("no number in %s", strings.Join(f, ", "))
}

// grown returns by how much a number has grown each second, and keeps the new one.
func grown(before **float64, now *float64, elapsed time.Duration) *float64 {
	was := *before
	*before = now
	if was == nil || now == nil || *now < *was {
		return nil // it was not known, or it began anew
	}
	return float((*now - *was) / elapsed.Seconds())
}

func float(v float64) *float64 { return &v }

func divided(v *float64, by float64) *float64 {
	if v == nil {
		return nil
	}
	return float(*v / by)
}

// percent returns a part of a whole.
func percent(part, whole *float64) *float64 {
	if part == nil || whole == nil || *whole <= 0 {
		return nil
	}
	return float(*part / *whole * 100)
}

// CheckCgroup returns the figures of the session's cgroup in words. Its files are looked for
// below root.
func CheckCgroup(root string) (string, error) {
	c := newCgroup(root + cgroupRoot)
	time.Sleep(leastMeasured / 10)
	var u contract.Usage
	if err := c.measure(&u, period{elapsed: leastMeasured / 10}); err != nil {
		return "", err
	}
	if u.CPUCores == nil || u.MemoryMiB == nil {
		return "", errors.New("it shows no use of the processor or of memory")
	}
	found := fmt.Sprintf("%.2f cores, %.0f MiB", *u.CPUCores, *u.MemoryMiB)
	if u.MemoryLimitMiB != nil {
		found += fmt.Sprintf(" of %.0f", *u.MemoryLimitMiB)
	}
	if u.CPUPressurePercent == nil {
		found += "; no pressure of the processor, which takes cgroup version 2"
	}
	return found, nil
}
