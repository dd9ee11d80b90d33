package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/doctor"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/life"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// closeLimit is how long the parts of a session may take to close in a doctor's run: less
// than at a session's end.
const closeLimit = 10 * time.Second

// runDoctor runs `session doctor`: it checks the parts of a session one by one, without
// players.
func runDoctor(ctx context.Context, s settings, log *events.Writer) status.Ending {
	front, end := openFront(ctx, s, log)
	if front == nil {
		return end
	}
	p := newParts(s, front, log)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		p.close(ctx)
	}()
	if err := p.makeUser(ctx); err != nil {
		return life.Failure(err, contract.ExitHost)
	}
	if err := p.makeDisplay(); err != nil {
		return life.Failure(err, contract.ExitHost)
	}
	code, reason := doctor.Run(ctx, doctor.Parts{
		DisplayServer: s.displayServer, DisplayMode: s.DisplayMode, Display: p.display,
		Sound: func(ctx context.Context) ([]string, error) {
			if err := p.startSound(ctx); err != nil {
				return nil, err
			}
			return p.sound.Env(), nil
		},
		Player: p.account.User, Env: p.account.Env(), GPURun: gpuRun, GPU: s.gpu, Close: closeLimit,
		Services: hostServices(front.listener.Addr()), Ports: hostPorts(front.listener.Addr(), s.Ports.First, s.Ports.Last),
	}, func(c contract.Check) { log.Write(contract.Event{Event: contract.EventDoctor, Check: &c}) })
	return status.Ending{Code: code, Reason: reason}
}

// hostServices returns the addresses at which a session can look for the host's
// credentials, each once: the usual ones, those of its own environment, and the ECS
// agent's at the host's address.
func hostServices(public net.Addr) []string {
	all := slices.Clone(contract.HostServices)
	for _, name := range []string{envHostMetadata, envCredentialsURL, envTaskMetadata} {
		if at, err := url.Parse(os.Getenv(name)); err == nil && at.Port() != "" {
			all = append(all, at.Host)
		}
	}
	for port := contract.AgentPorts.First; port <= contract.AgentPorts.Last; port++ {
		all = append(all, hostPorts(public, port)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// hostPorts returns the addresses of ports on the session's own address.
func hostPorts(public net.Addr, ports ...int) (all []string) {
	host := public.(*net.TCPAddr).IP.String()
	for _, port := range ports {
		all = append(all, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return all
}
