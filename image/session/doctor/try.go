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

// CommandTry is the command of this program that runs Try, as another user.
const CommandTry = "try"

// Attempts are connections and listeners to try.
type Attempts struct {
	Dial   []string `json:"dial,omitempty"`   // TCP addresses to connect to
	Listen []string `json:"listen,omitempty"` // TCP addresses to listen on
}

// attemptResults maps an address to the error of its attempt, "" if it succeeded.
type attemptResults map[string]string

// succeeded returns the addresses of a list at which the attempt succeeded.
func (r attemptResults) succeeded(addresses []string) (list []string) {
	for _, at := range addresses {
		if r[at] == "" {
			list = append(list, at)
		}
	}
	return list
}

// dialTime is how long a connection may take: the servers are on the host.
const dialTime = 2 * time.Second

// Try makes the Attempts in a JSON argument, and writes their results as JSON.
func Try(argument string, out io.Writer) error {
	var a Attempts
	if err := json.Unmarshal([]byte(argument), &a); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a.try())
}

func (a Attempts) try() attemptResults {
	found := attemptResults{}
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

// tryAs makes attempts as a user, by running this program again.
func tryAs(ctx context.Context, user process.User, a Attempts) (attemptResults, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	out, err := process.Run(ctx, process.Command{Name: CommandTry, Path: "/proc/self/exe", Args: []string{CommandTry, string(text)}, User: &user})
	if err != nil {
		return nil, err
	}
	var found attemptResults
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return nil, fmt.Errorf("%q: %w", out, err)
	}
	return found, nil
}

// deniedText is the error of an attempt that only root may make.
var deniedText = syscall.EACCES.Error()
