package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/measure"
)

// image measures the bytes that a change of the game alone pushes, and lists the
// image's layers.
func image(ctx context.Context, b *measure.Measurement) error {
	if _, err := b.Up(ctx, "first-up", b.Config); err != nil {
		return err
	}
	changed, err := withAnotherGame(b)
	if err != nil {
		return err
	}
	_, pushed, err := b.Push(ctx, "up-with-another-game", changed)
	if err != nil {
		return err
	}
	layers, err := b.Layers(ctx)
	if err != nil {
		return err
	}
	var sum int64
	for _, l := range layers {
		sum += l.Size
		b.Add("layer", l.Made, "%s", measure.MiB(l.Size))
	}
	b.Add("image", "compressed, as a cold host pulls it", "%s", measure.MiB(sum))
	b.AddPushed(pushed, layers)
	_, err = b.Up(ctx, "up-as-before", b.Config)
	return err
}

// withAnotherGame writes the stack's configuration with a game that differs by one
// file.
func withAnotherGame(b *measure.Measurement) (file string, err error) {
	file = b.File("another-game.yaml")
	return file, local.EditConfig(b.Config, file, func(config map[string]any) error {
		game, ok := config[local.GameKey].(string)
		if !ok {
			return errors.New("the stack's configuration names no " + local.GameKey)
		}
		another := b.File("game")
		config[local.GameKey] = another
		if err := os.RemoveAll(another); err != nil {
			return err
		}
		if err := os.CopyFS(another, os.DirFS(game)); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(another, "build"), []byte(rand.Text()), 0o644)
	})
}

// starts measures, ten times, from a container's start to the first answer of
// its waiting screen, and that the port then answers until the end.
func starts(ctx context.Context, b *measure.Measurement) error {
	if _, err := b.Up(ctx, "first-up", b.Config); err != nil {
		return err
	}
	out, err := b.StackOutputs(ctx)
	if err != nil {
		return err
	}
	const times = 10
	var firsts, readies, gaps []float64
	for turn := range times {
		var m startMeasured
		err := b.Progress.Step(fmt.Sprintf("session %d of %d", turn+1, times), "measured", func() (err error) {
			m, err = oneStart(ctx, b, out.ImageURI)
			return err
		})
		if err != nil {
			return err
		}
		firsts, readies, gaps = append(firsts, m.first.Seconds()), append(readies, m.ready.Seconds()), append(gaps, m.gap.Seconds())
	}
	b.Add("container start to the waiting screen", fmt.Sprintf("median of %d, each %.3f; goal: under 0.5 s", times, firsts), "%.3f s", median(firsts))
	b.Add("container start to ready", fmt.Sprintf("median of %d; the game has a window, rendered by software", times), "%.1f s", median(readies))
	longest := 0.0
	for _, gap := range gaps {
		longest = max(longest, gap)
	}
	b.Add("longest time without an answer", fmt.Sprintf("of %d sessions from the first answer to the end, asked every 20 ms; goal: under 1 s", times), "%.3f s", longest)
	return nil
}

type startMeasured struct{ first, ready, gap time.Duration }

// benchPort is outside the stack's range.
const benchPort = 19443

// oneStart runs a session by hand until it is ready, and ends it.
func oneStart(ctx context.Context, b *measure.Measurement, image string) (m startMeasured, err error) {
	docker := func(args ...string) (string, error) {
		out, err := local.Docker(ctx, b.Cloud.DockerHost, args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("docker %s: %w: %s", args[0], err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	args := []string{"run", "--detach", "--network", "host", "--shm-size", "256m", "--label", local.Label + "=" + b.Tree.State}
	for name, value := range local.SessionEnvironment(image, "bench", contract.PortRange{First: benchPort, Last: benchPort}) {
		args = append(args, "--env", name+"="+value)
	}
	id, err := docker(append(args, image)...)
	if err != nil {
		return m, err
	}
	defer func() {
		_, removed := docker("rm", "--force", id)
		err = errors.Join(err, removed)
	}()
	answers := watch(ctx, fmt.Sprintf("https://127.0.0.1:%d%s", benchPort, contract.HealthPath))
	if m.ready, err = untilReady(docker, id); err != nil {
		return m, err
	}
	if _, err := docker("stop", "--time", "40", id); err != nil {
		return m, err
	}
	text, err := docker("inspect", "--format", "{{.State.StartedAt}}", id)
	if err != nil {
		return m, err
	}
	started, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return m, err
	}
	times := answers()
	if len(times) == 0 {
		return m, errors.New("the session never answered")
	}
	m.first = times[0].Sub(started)
	for i := 1; i < len(times); i++ {
		m.gap = max(m.gap, times[i].Sub(times[i-1]))
	}
	return m, nil
}

// untilReady waits for the ready event and returns how long after the first it came.
func untilReady(docker func(...string) (string, error), id string) (time.Duration, error) {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		log, err := docker("logs", id)
		if err != nil {
			return 0, err
		}
		at := map[contract.EventName]time.Time{}
		for _, line := range strings.Split(log, "\n") {
			var e contract.Event
			if json.Unmarshal([]byte(line), &e) == nil {
				at[e.Event], _ = time.Parse(time.RFC3339, e.Time)
			}
		}
		if !at[contract.EventEnded].IsZero() {
			return 0, fmt.Errorf("the session ended:\n%s", log)
		}
		if ready := at[contract.EventReady]; !ready.IsZero() {
			return ready.Sub(at[contract.EventStarting]), nil
		}
	}
	return 0, errors.New("the session is not ready after two minutes")
}

// watch asks a page all the time, and gives when it answered once it is stopped.
func watch(ctx context.Context, url string) (stop func() []time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var times []time.Time
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			if res, err := client.Get(url); err == nil {
				res.Body.Close()
				times = append(times, time.Now())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() []time.Time {
		cancel()
		<-over
		return times
	}
}
