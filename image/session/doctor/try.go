package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/process"
)

// CommandTry is the command of this program by which it tries something as another
// user: Try says what.
const CommandTry = "try"

// Attempts are what to try.
type Attempts struct {
	Dial   []string `json:"dial,omitempty"`   // TCP addresses to connect to
	Listen []string `json:"listen,omitempty"` // TCP addresses to listen on
}

// results say of each address why the attempt failed, "" if it did not.
type results map[string]string

// succeeded returns the addresses at which an attempt did, of a list.
func (r results) succeeded(addresses []string) (list []string) {
	for _, at := range addresses {
		if r[at] == "" {
			list = append(list, at)
		}
	}
	return list
}

// dialTime is how long a connection may take: what is asked for is on the host.
const dialTime = 2 * time.Second

// Try makes the attempts that its argument has as JSON, and writes their results.
func Try(argument string, out io.Writer) error {
	var a Attempts
	if err := json.Unmarshal([]byte(argument), &a); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a.try())
}

func (a Attempts) try() results {
	found := results{}
	var mu sync.Mutex
	var all sync.WaitGroup
	each := func(addresses []string, open func(at string) (io.Closer, error)) {
		for _, at := range addresses {
			all.Go(func() {
				opened, err := open(at)
				mu.Lock()
				defer mu.Unlock()
				if found[at] = ""; err != nil {
					found[at] = err.Error()
					return
				}
				_ = opened.Close()
			})
		}
	}
	each(a.Dial, func(at string) (io.Closer, error) { return net.DialTimeout("tcp", at, dialTime) })
	each(a.Listen, func(at string) (io.Closer, error) { return net.Listen("tcp", at) })
	all.Wait()
	return found
}

// tryAs makes attempts as a user, by running this program once more.
func tryAs(ctx context.Context, user process.User, a Attempts) (results, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	out, err := process.Run(ctx, process.Command{Name: CommandTry, Path: "/proc/self/exe", Args: []string{CommandTry, string(text)}, User: &user})
	if err != nil {
		return nil, err
	}
	var found results
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return nil, fmt.Errorf("%q: %w", out, err)
	}
	return found, nil
}

// denied is what an attempt fails with that only root may make.
var denied = syscall.EACCES.Error()
