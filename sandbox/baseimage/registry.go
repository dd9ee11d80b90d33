package baseimage

import (
	"context"
	"fmt"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// write writes the image of a layer as an OCI image layout, which has the digests that a
// registry is given.
func write(folder, layer string) error {
	img, err := imageOf(layer)
	if err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(img)
}

// imageOf returns the image of a layer. Everything in it comes from the layer and from
// constants.
func imageOf(file string) (v1.Image, error) {
	layer, err := tarball.LayerFromFile(file)
	if err != nil {
		return nil, err
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "mmdebstrap " + suite, Comment: "dcv-sessions sandbox"},
	})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Created = runtime.GOARCH, "linux", v1.Time{Time: epoch}
	config.Config.Cmd = []string{"bash"}
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return mutate.ConfigFile(img, config)
}

// read returns the image of a layout that write has written.
func read(folder string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("%d images, not 1", len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

// push pushes the image of a layout to a registry.
func push(ctx context.Context, folder string, tag name.Tag) error {
	img, err := read(folder)
	if err != nil {
		return fmt.Errorf("%s: %w\nremove it, and it is made again", folder, err)
	}
	return remote.Write(tag, img, remote.WithContext(ctx))
}

// pushed reports whether a registry has a tag.
func pushed(ctx context.Context, tag name.Tag) bool {
	_, err := remote.Head(tag, remote.WithContext(ctx))
	return err == nil
}

// Pull pulls an image into the Docker at a DOCKER_HOST unless it has it.
func Pull(ctx context.Context, host, image string) error {
	if local.Docker(ctx, host, "image", "inspect", image).Run() == nil {
		return nil
	}
	if out, err := local.Docker(ctx, host, "pull", "--quiet", image).CombinedOutput(); err != nil {
		return fmt.Errorf("docker pull %s: %w\n%s", image, err, out)
	}
	return nil
}
