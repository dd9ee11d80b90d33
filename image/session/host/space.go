package host

import (
	"errors"
	"fmt"
	"syscall"
)

// minSpace bounds the size of a session's own files; a game may need more.
const minSpace = 32 << 20

// Space returns an error that names the folders without space for a session: on a full
// disk, programs fail with misleading errors.
func Space(folders ...string) error {
	var faults []error
	for _, folder := range folders {
		var s syscall.Statfs_t
		if err := syscall.Statfs(folder, &s); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", folder, err))
			continue
		}
		if free := s.Bavail * uint64(s.Bsize); free < minSpace {
			faults = append(faults, fmt.Errorf("%s has %d MiB free, and a session takes %d", folder, free>>20, minSpace>>20))
		}
	}
	return errors.Join(faults...)
}
