package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Push is Up, and returns also how many bytes more the registry holds afterwards.
func (m *Measurement) Push(ctx context.Context, name, config string) (r Run, pushed int64, err error) {
	before, err := m.stored()
	if err != nil {
		return r, 0, err
	}
	if r, err = m.Up(ctx, name, config); err != nil {
		return r, 0, err
	}
	after, err := m.stored()
	return r, after - before, err
}

// stored returns how many bytes the registry holds.
func (m *Measurement) stored() (sum int64, err error) {
	err = filepath.WalkDir(filepath.Join(m.Cloud.Dir(), "registry"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// AddPushed adds the ratio of the bytes that an `up` with another game pushed to the
// size of the game's layer.
func (m *Measurement) AddPushed(pushed int64, layers []Layer) {
	game := layers[len(layers)-1].Size
	m.Add("bytes pushed for a changed game", fmt.Sprintf("to the size of its layer, %s to %s; goal: at most 1.02 if the session image is known", MiB(pushed), MiB(game)),
		"%.4f", float64(pushed)/float64(game))
}

// MiB returns a number of bytes as a text.
func MiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// Layer is a layer of the session image, as the registry holds it.
type Layer struct {
	Made string // the instruction that made it
	Size int64  // compressed
}

// Layers returns the layers of the stack's image. The last one is the game.
func (m *Measurement) Layers(ctx context.Context) ([]Layer, error) {
	out, err := m.StackOutputs(ctx)
	if err != nil {
		return nil, err
	}
	at, err := name.NewDigest(out.ImageURI, name.Insecure)
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(at, remote.WithContext(ctx))
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

// named adds to each layer the instruction that made it.
func named(found []v1.Descriptor, history []v1.History) ([]Layer, error) {
	var layers []Layer
	for _, made := range history {
		if made.EmptyLayer {
			continue
		}
		if len(layers) == len(found) {
			return nil, errors.New("the image's history names more layers than it has")
		}
		instruction := strings.Join(strings.Fields(strings.TrimSuffix(made.CreatedBy, "# buildkit")), " ")
		layers = append(layers, Layer{instruction[:min(len(instruction), 70)], found[len(layers)].Size})
	}
	if len(layers) != len(found) || len(layers) == 0 {
		return nil, errors.New("the image's history does not name all its layers")
	}
	return layers, nil
}
