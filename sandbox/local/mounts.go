package local

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// unmountUnder takes away what a dockerd that was killed left mounted in a
// folder, and one that ended in order too: the network of containers that use
// the host's.
func unmountUnder(dir string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var faults []error
	points := mountsUnder(dir, string(text))
	for _, point := range slices.Backward(points) { // the newest stands last, on top of others
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			faults = append(faults, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(faults...)
}

// mountsUnder reads mount points from /proc/self/mountinfo (proc(5)), of which
// the fifth field is one, with blanks as \040.
func mountsUnder(dir, mountinfo string) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := strings.ReplaceAll(fields[4], `\040`, " ")
		if point == dir || strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points
}
