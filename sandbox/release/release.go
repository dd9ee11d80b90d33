// Package release shows the whole way of a game build in the sandbox.
package release

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/events"
	"github.com/intraverse/dcv-sessions/sandbox/game"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/measure"
	"github.com/intraverse/dcv-sessions/sandbox/workspace"
)

// Run shows a game build's whole way: uploaded, announced by an event to the
// repository's API, deployed, played by a new session beside one that runs. This
// command stands for GitHub: it answers for its API, and acts as the workflow.
func Run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	build := flags.String("build", "", "the game build: an archive of a game's folder (default: a new one of the sandbox's game)")
	key := flags.String("key", "", "its key in the bucket (default: builds/game with the archive's ending)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	form := game.ArchiveForm
	if *build != "" {
		var err error
		if form, err = formOf(*build); err != nil {
			return err
		}
	}
	return measure.Take(ctx, func(ctx context.Context, b *measure.Measurement) error {
		return release(ctx, b, *build, cmp.Or(*key, "builds/game"+form))
	})
}

// formOf is the ending of an archive's name, the longest that fits.
func formOf(build string) (string, error) {
	for _, form := range slices.Backward(unpack.Forms) {
		if strings.HasSuffix(build, form) {
			_, err := os.Stat(build)
			return form, err
		}
	}
	return "", fmt.Errorf("BUILD is %q: an archive is needed, %s", build, strings.Join(unpack.Forms, ", "))
}

// The players: one plays through the deployment, one after it.
const (
	oldPlayer = "player1"
	newPlayer = "player2"
)

func release(ctx context.Context, b *measure.Measurement, build, key string) error {
	if err := configureAgain(ctx, b); err != nil {
		return err
	}
	if _, err := b.Up(ctx, "the stack as it is", b.Config); err != nil {
		return err
	}
	before, err := b.StackOutputs(ctx)
	if err != nil {
		return err
	}
	if build == "" {
		if build, err = packGame(ctx, b); err != nil {
			return err
		}
	}
	var old launch.Session
	if err := step(b, "a session of "+oldPlayer+", of the game so far", func() (err error) {
		old, err = play(ctx, b, before, oldPlayer)
		return err
	}); err != nil {
		return err
	}
	github, err := answerForGitHub(ctx, b.Cloud)
	if err != nil {
		return err
	}
	defer github.close()
	if err := step(b, "make delivery-token", func() error { return deliver(ctx, b, releaseToken+"\n", "token") }); err != nil {
		return err
	}
	var version string
	if err := step(b, "upload to s3://"+before.GameBuildsBucket+"/"+key, func() (err error) {
		version, err = upload(ctx, b, build, before.GameBuildsBucket, key)
		return err
	}); err != nil {
		return err
	}
	if err := step(b, "the event starts the workflow", func() error { return github.await(ctx, before.GameBuildsBucket, key, version) }); err != nil {
		return err
	}
	after, err := deployBuild(ctx, b, key)
	if err != nil {
		return err
	}
	if err := step(b, "make keep-image", func() error { return deliver(ctx, b, "", "keep") }); err != nil {
		return err
	}
	if err := step(b, "a new session runs the new build, the old one goes on", func() error { return compare(ctx, b, before, after, old) }); err != nil {
		return err
	}
	b.Add(newPlayer+"'s new session runs", "", "%s", after.ImageURI)
	b.Add(oldPlayer+"'s old session runs", "", "%s", before.ImageURI)
	b.Add("to go back", "", "make rollback")
	return nil
}

// step runs a step of the delivery and adds how long it took.
func step(b *measure.Measurement, name string, do func() error) error {
	began := time.Now()
	if err := b.Progress.Step(name, "delivery", do); err != nil {
		return err
	}
	b.Add(name, "", "%.1f s", time.Since(began).Seconds())
	return nil
}

// packGame makes a new build of the sandbox's game.
func packGame(ctx context.Context, b *measure.Measurement) (build string, err error) {
	folder, err := game.Ensure(ctx, b.Progress, b.Tree.Cache)
	if err != nil {
		return "", err
	}
	build = b.File("game" + game.ArchiveForm)
	return build, step(b, "a new build of the sandbox's game is packed", func() error {
		file, err := os.Create(build)
		if err != nil {
			return err
		}
		return errors.Join(game.Archive(folder, file), file.Close())
	})
}

// play starts a user's session, or finds it.
func play(ctx context.Context, b *measure.Measurement, of outputs.Outputs, user string) (launch.Session, error) {
	launcher, err := launch.New(b.AWS(), of, launch.WithPoll(200*time.Millisecond))
	if err != nil {
		return launch.Session{}, err
	}
	return launcher.Start(ctx, user, launch.StartOptions{Wait: true})
}

// deliver runs one of deliver's commands, as make does, by the program that make
// has built.
func deliver(ctx context.Context, b *measure.Measurement, input, command string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Tree.Bin(), "deliver"), "-stack", "sandbox", command)
	cmd.Dir, cmd.Env = b.Tree.Root, b.Cloud.Env()
	cmd.Stdin = strings.NewReader(input)
	return b.Progress.Command(ctx, cmd)
}

// releaseToken is a token that GitHub has never issued.
var releaseToken = "sandbox-" + rand.Text()

// upload puts a build into the bucket, with its checksum, and returns its version.
func upload(ctx context.Context, b *measure.Measurement, build, bucket, key string) (string, error) {
	file, err := os.Open(build)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	client := s3.NewFromConfig(b.AWS(), func(o *s3.Options) { o.UsePathStyle = true })
	put, err := client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: file, Metadata: map[string]string{"sha256": hex.EncodeToString(sum.Sum(nil))},
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(put.VersionId), nil
}

// deployBuild deploys the newest build, as the workflow does.
func deployBuild(ctx context.Context, b *measure.Measurement, key string) (outputs.Outputs, error) {
	chosen := workspace.Settings{"dcv-sessions:image.gameBuild.key": key, "dcv-sessions:image.gameBuild.version": "latest", "dcv-sessions:image.use": ""}
	if err := b.Set(chosen); err != nil {
		return outputs.Outputs{}, err
	}
	if err := configureAgain(ctx, b); err != nil {
		return outputs.Outputs{}, err
	}
	deployed, pushed, err := b.Push(ctx, "pulumi up", b.Config)
	if err != nil {
		return outputs.Outputs{}, err
	}
	b.Add("pulumi up", fmt.Sprintf("%d resources changed", len(deployed.Changed())), "%.1f s", deployed.Took.Seconds())
	layers, err := b.Layers(ctx)
	if err != nil {
		return outputs.Outputs{}, err
	}
	b.AddPushed(pushed, layers)
	return b.StackOutputs(ctx)
}

// configureAgain takes the settings that were set meanwhile.
func configureAgain(ctx context.Context, b *measure.Measurement) error {
	file, err := b.Settled()
	if err != nil {
		return err
	}
	b.Config, err = b.Configure(ctx, "infra", local.Stack, file)
	return err
}

// compare starts a session of the new build and looks after the old one.
func compare(ctx context.Context, b *measure.Measurement, before, after outputs.Outputs, old launch.Session) error {
	if before.ImageURI == after.ImageURI {
		return errors.New("the image is still the same")
	}
	if _, err := play(ctx, b, after, newPlayer); err != nil {
		return err
	}
	still, err := play(ctx, b, after, oldPlayer)
	switch {
	case err != nil:
		return err
	case still.JobID != old.JobID || still.URL != old.URL || still.Attempt != old.Attempt:
		return fmt.Errorf("%s's session is another: %s at %s, and was %s at %s", oldPlayer, still.JobID, still.URL, old.JobID, old.URL)
	}
	return nil
}

// github answers for the repository's API.
type github struct {
	server  *http.Server
	calls   chan dispatched
	refused chan string
}

// dispatched is a workflow that was started.
type dispatched struct {
	Ref    string `json:"ref"`
	Inputs struct{ Bucket, Key, VersionID string }
}

// apiHost is GitHub's API, as the stack's configuration has it.
const apiHost = "api.github.com"

func answerForGitHub(ctx context.Context, cloud *local.Cloud) (*github, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &github{calls: make(chan dispatched, 8), refused: make(chan string, 8)}
	g.server = &http.Server{Handler: http.HandlerFunc(g.dispatch), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = g.server.Serve(listener) }() // until it is closed
	query := url.Values{"host": {apiHost}, "to": {"http://" + listener.Addr().String()}}
	res, err := cloud.Request(ctx, http.MethodPost, events.Path+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the sandbox's EventBridge: %s", res.Status)
	}
	return g, nil
}

func (g *github) close() { _ = g.server.Close() }

// dispatch is "Create a workflow dispatch event", refused without the token.
func (g *github) dispatch(w http.ResponseWriter, r *http.Request) {
	var call dispatched
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &call)
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+releaseToken:
		w.WriteHeader(http.StatusUnauthorized)
		g.refused <- "it came without the token"
	case err != nil || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/actions/workflows/release.yml/dispatches"):
		w.WriteHeader(http.StatusUnprocessableEntity)
		g.refused <- fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, body)
	default:
		w.WriteHeader(http.StatusNoContent)
		g.calls <- call
	}
}

// await waits for the workflow of a build.
func (g *github) await(ctx context.Context, bucket, key, version string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return errors.New("no event came within a minute")
		case why := <-g.refused:
			return errors.New("a call that GitHub would refuse: " + why)
		case call := <-g.calls:
			if call.Inputs.Bucket == bucket && call.Inputs.Key == key && call.Inputs.VersionID == version && call.Ref == "main" {
				return nil
			}
		}
	}
}
