package local

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// unmountUnder unmounts everything in a folder: a killed dockerd leaves mounts, and one
// that ended in order leaves the network namespaces of containers on the host's network.
func unmountUnder(dir string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var faults []error
	points := mountsUnder(dir, string(text))
	for _, point := range slices.Backward(points) { // the newest is the last, on top of others
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			faults = append(faults, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(faults...)
}

// mountsUnder returns the mount points in a folder, from /proc/self/mountinfo: they are
// its fifth field, with spaces as \040 (proc(5)).
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
