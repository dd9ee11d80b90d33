// Package account makes the player's Linux account.
package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// Account is a player's Linux account.
type Account struct {
	Name       string
	UID, GID   uint32
	Home       string // mode 0700
	RuntimeDir string // XDG_RUNTIME_DIR, mode 0700
	User       process.User
}

// Env returns the environment of the player's processes, without the session's own.
func (a Account) Env() []string {
	return []string{
		"HOME=" + a.Home, "USER=" + a.Name, "LOGNAME=" + a.Name, "SHELL=" + loginShell,
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games", "LANG=C.UTF-8",
		"XDG_RUNTIME_DIR=" + a.RuntimeDir,
	}
}

const (
	useradd    = "/usr/sbin/useradd"
	loginShell = "/bin/bash" // DCV starts a session with runuser -l
)

// gpuGroups are those that the GPU's device nodes may belong to. A player is in
// no other: not in audio, for the sound is a server of the player's own.
var gpuGroups = []string{"render", "video"}

// The range of people's user ids, as in Debian's login.defs; the ids above it are
// unused.
const (
	firstUID = 1000
	lastUID  = 59999
)

// Make makes a player's account: a group of its own, a home, a locked password,
// no sudo. A restarted container has the account already.
//
// Its error has an exit code: contract.ExitHost if the account can't be made, such as for
// lack of disk space, and contract.ExitConfiguration if the image has an account of that
// name.
func Make(ctx context.Context, name string) (Account, error) {
	return accountMaker{}.account(ctx, name)
}

// accountMaker makes accounts.
type accountMaker struct {
	prefix string // of every path; "" but in tests
}

func (m accountMaker) account(ctx context.Context, name string) (Account, error) {
	entry, err := m.entry("passwd", name)
	if err == nil && entry == nil {
		err = m.add(ctx, name)
		if err == nil {
			entry, err = m.entry("passwd", name)
		}
	}
	if err != nil {
		return Account{}, hostFault(err)
	}
	a, err := parsePasswd(entry)
	if err != nil {
		return Account{}, err
	}
	if a.User.Groups, err = m.groups(name); err != nil {
		return Account{}, hostFault(err)
	}
	if err := errors.Join(m.own(a.Home, a), m.own(a.RuntimeDir, a)); err != nil {
		return Account{}, hostFault(err)
	}
	return a, nil
}

func hostFault(err error) error {
	if _, ok := fault.Code(err); ok {
		return err
	}
	return fault.New(contract.ExitHost, fmt.Errorf("the player's account: %w", err))
}

func nameTaken(name string) error {
	return fault.New(contract.ExitConfiguration, fmt.Errorf("the image has an account or a group %q of its own: no user may be named so", name))
}

// add calls useradd, which makes an account without a valid password.
func (m accountMaker) add(ctx context.Context, name string) error {
	if group, err := m.entry("group", name); group != nil || err != nil {
		if err == nil {
			err = nameTaken(name)
		}
		return err
	}
	var groups []string
	for _, group := range gpuGroups {
		entry, err := m.entry("group", group)
		if err != nil {
			return err
		}
		if entry != nil {
			groups = append(groups, group)
		}
	}
	args := []string{"--create-home", "--home-dir", homeDir(name), "--user-group", "--shell", loginShell, "--no-log-init"}
	if len(groups) > 0 {
		args = append(args, "--groups", strings.Join(groups, ","))
	}
	if m.prefix != "" {
		args = append(args, "--prefix", m.prefix)
	}
	_, err := process.Run(ctx, process.Command{
		Name: "useradd", Path: useradd, Args: append(args, name), Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.New(contract.ExitImage, err)
	}
	return err
}

func homeDir(name string) string { return "/home/" + name }

// parsePasswd reads an entry of /etc/passwd (man 5 passwd), and refuses one that Make would
// not have made.
func parsePasswd(entry []string) (Account, error) {
	if len(entry) != 7 {
		return Account{}, hostFault(fmt.Errorf("/etc/passwd has %d fields for it instead of 7", len(entry)))
	}
	name := entry[0]
	uid, uidErr := strconv.ParseUint(entry[2], 10, 32)
	gid, gidErr := strconv.ParseUint(entry[3], 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return Account{}, hostFault(err)
	}
	if uid < firstUID || uid > lastUID || gid < firstUID || gid > lastUID || entry[5] != homeDir(name) {
		return Account{}, nameTaken(name)
	}
	return Account{
		Name: name, UID: uint32(uid), GID: uint32(gid), Home: homeDir(name), RuntimeDir: fmt.Sprint("/run/user/", uid),
		User: process.User{UID: uint32(uid), GID: uint32(gid)},
	}, nil
}

// own makes a folder that only the player can use.
func (m accountMaker) own(folder string, a Account) error {
	path := filepath.Join(m.prefix, folder)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Not through a link, which an earlier player may have left.
	if info, err := os.Lstat(path); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("%s is no folder", path))
	}
	return errors.Join(os.Chown(path, int(a.UID), int(a.GID)), os.Chmod(path, 0o700))
}

// entry returns the fields of a name's line in /etc/passwd or /etc/group, or nil.
func (m accountMaker) entry(file, name string) (found []string, err error) {
	err = m.each(file, func(fields []string) {
		if found == nil && fields[0] == name {
			found = fields
		}
	})
	return found, err
}

// groups returns the groups that list a name as a member.
func (m accountMaker) groups(name string) (ids []uint32, err error) {
	err = m.each("group", func(fields []string) {
		if len(fields) == 4 && slices.Contains(strings.Split(fields[3], ","), name) {
			if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
				ids = append(ids, uint32(id))
			}
		}
	})
	return ids, err
}

func (m accountMaker) each(file string, take func(fields []string)) error {
	f, err := os.Open(filepath.Join(m.prefix, "/etc", file))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		take(strings.Split(lines.Text(), ":"))
	}
	return lines.Err()
}
