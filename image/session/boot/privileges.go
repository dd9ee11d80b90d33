package boot

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// neededCapabilities are the capabilities (man 7 capabilities) of the supervisor and of
// its children that run as root: DCV's session launcher and, for a console session, the
// X server. A
// session gives up all others, and nothing below it gets one back: not even root by a
// setuid file, since no_new_privs is set too. AWS Batch has no setting for either.
//
// Of Docker's default set these go: NET_RAW, with which a process reads and forges other
// sessions' packets on the host's network; MKNOD, since the host's container toolkit
// has made every device node; SYS_CHROOT, SETFCAP and SETPCAP, which nothing uses.
var neededCapabilities = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, // the player's home, folders of DCV's account
	unix.CAP_SETUID, unix.CAP_SETGID, // children that are the player's
	unix.CAP_KILL,             // their end
	unix.CAP_NET_BIND_SERVICE, // the session's port, on hosts that keep it for root
	unix.CAP_AUDIT_WRITE,      // runuser, by which DCV starts a virtual session: PAM fails for root without it (libpam, pam_audit.c)

	// Only session.privileged gives these, to an X server that can't do without.
	unix.CAP_SYS_ADMIN, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TTY_CONFIG, unix.CAP_SYS_NICE,
}

// dropPrivileges removes every capability that is not needed from the calling thread,
// and with it from the program that it executes next and from that program's children.
// None can be regained.
//
// It is the bounding set that shrinks. When root executes a program, its capabilities
// become those of the bounding set; with no_new_privs, no more than it had.
func dropPrivileges() error {
	for c := uintptr(0); ; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil {
			break // the kernel knows no more
		}
		if has == 0 || slices.Contains(neededCapabilities, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("PR_CAPBSET_DROP of capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	return nil
}
