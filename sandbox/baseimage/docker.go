package baseimage

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// load puts the image into a Docker.
func load(ctx context.Context, p local.Progress, host, file, image string) error {
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(writeImage(w, file, image)) }()
	cmd := local.Docker(ctx, host, "load", "--quiet")
	cmd.Stdin = r
	return p.Command(ctx, cmd)
}

// writeImage writes the archive that docker load reads. Everything in it comes
// from the layer and from constants; docker import would note the time.
func writeImage(w io.Writer, file, image string) error {
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w\nremove it, and it is made again", file, err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "mmdebstrap " + suite, Comment: "dcv-sessions sandbox"},
	})
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Created = runtime.GOARCH, "linux", v1.Time{Time: epoch}
	config.Config.Cmd = []string{"bash"}
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	return tarball.Write(tag, img, w)
}
