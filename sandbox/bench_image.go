package main

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

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// image measures what a change of the game alone pushes, and shows of what the
// image is made.
func (b *bencher) image() error {
	if _, err := b.run("first-up", "up", "-config-file", b.config); err != nil {
		return err
	}
	stored, err := b.stored()
	if err != nil {
		return err
	}
	changed, err := b.withAnotherGame()
	if err != nil {
		return err
	}
	if _, err := b.run("up-with-another-game", "up", "-config-file", changed); err != nil {
		return err
	}
	now, err := b.stored()
	if err != nil {
		return err
	}
	layers, err := b.layers()
	if err != nil {
		return err
	}
	var sum int64
	for _, l := range layers {
		sum += l.size
		b.add("layer", l.what, "%s", mib(l.size))
	}
	b.add("image", "compressed, as a cold host pulls it", "%s", mib(sum))
	game := layers[len(layers)-1].size
	b.add("bytes pushed for a changed game", fmt.Sprintf("to the size of its layer, %s to %s; goal: at most 1.02", mib(now-stored), mib(game)),
		"%.4f", float64(now-stored)/float64(game))
	_, err = b.run("up-as-before", "up", "-config-file", b.config)
	return err
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// withAnotherGame is the stack's configuration with a game that differs by one
// file.
func (b *bencher) withAnotherGame() (string, error) {
	text, err := os.ReadFile(b.config)
	if err != nil {
		return "", err
	}
	var file struct {
		EncryptionSalt string         `yaml:"encryptionsalt,omitempty"`
		Config         map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", err
	}
	game, ok := file.Config[local.GameKey].(string)
	if !ok {
		return "", errors.New("the stack's configuration names no " + local.GameKey)
	}
	another := b.file("game")
	if err := os.RemoveAll(another); err != nil {
		return "", err
	}
	if err := os.CopyFS(another, os.DirFS(game)); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(another, "build"), []byte(rand.Text()), 0o644); err != nil {
		return "", err
	}
	file.Config[local.GameKey] = another
	out, err := yaml.Marshal(file)
	if err != nil {
		return "", err
	}
	config := b.file("another-game.yaml")
	return config, os.WriteFile(config, out, 0o600)
}

// layer is one of the image's, as the registry holds it.
type layer struct {
	what string // made it
	size int64  // compressed
}

func (b *bencher) layers() ([]layer, error) {
	out, err := b.stackOutputs()
	if err != nil {
		return nil, err
	}
	at, err := name.NewDigest(out.ImageURI, name.Insecure)
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(at, remote.WithContext(b.ctx))
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	return named(manifest.Layers, config.History)
}

// named puts to each layer what made it.
func named(found []v1.Descriptor, history []v1.History) ([]layer, error) {
	var layers []layer
	for _, made := range history {
		if made.EmptyLayer {
			continue
		}
		if len(layers) == len(found) {
			return nil, errors.New("the image's history names more layers than it has")
		}
		what := strings.Join(strings.Fields(strings.TrimSuffix(made.CreatedBy, "# buildkit")), " ")
		layers = append(layers, layer{what[:min(len(what), 70)], found[len(layers)].Size})
	}
	if len(layers) != len(found) || len(layers) == 0 {
		return nil, errors.New("the image's history does not name all its layers")
	}
	return layers, nil
}

// starts measures, ten times, from a container's start to the first answer of
// its waiting screen, and that the port then answers until the end.
func (b *bencher) starts() error {
	if _, err := b.run("first-up", "up", "-config-file", b.config); err != nil {
		return err
	}
	out, err := b.stackOutputs()
	if err != nil {
		return err
	}
	const times = 10
	var firsts, readies, gaps []float64
	for turn := range times {
		var m startMeasured
		err := b.progress.Step(fmt.Sprintf("session %d of %d", turn+1, times), "measured", func() (err error) {
			m, err = b.oneStart(out.ImageURI)
			return err
		})
		if err != nil {
			return err
		}
		firsts, readies, gaps = append(firsts, m.first.Seconds()), append(readies, m.ready.Seconds()), append(gaps, m.gap.Seconds())
	}
	b.add("container start to the waiting screen", fmt.Sprintf("median of %d, each %.3f; goal: under 0.5 s", times, firsts), "%.3f s", median(firsts))
	b.add("container start to ready", fmt.Sprintf("median of %d; the game has a window, rendered by software", times), "%.1f s", median(readies))
	longest := 0.0
	for _, gap := range gaps {
		longest = max(longest, gap)
	}
	b.add("longest time without an answer", fmt.Sprintf("of %d sessions from the first answer to the end, asked every 20 ms; goal: under 1 s", times), "%.3f s", longest)
	return nil
}

type startMeasured struct{ first, ready, gap time.Duration }

// benchPort is outside the stack's range.
const benchPort = 19443

// oneStart runs a session by hand until it is ready, and ends it.
func (b *bencher) oneStart(image string) (m startMeasured, err error) {
	docker := func(args ...string) (string, error) {
		out, err := local.Docker(b.ctx, b.cloud.DockerHost, args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("docker %s: %w: %s", args[0], err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	args := []string{"run", "--detach", "--network", "host", "--shm-size", "256m", "--label", local.Label + "=" + b.tree.State}
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
	answers := watch(b.ctx, fmt.Sprintf("https://127.0.0.1:%d%s", benchPort, contract.HealthPath))
	if m.ready, err = b.untilReady(docker, id); err != nil {
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
func (b *bencher) untilReady(docker func(...string) (string, error), id string) (time.Duration, error) {
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
