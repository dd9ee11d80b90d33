package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// registry is the local image registry. It has neither the time of a push nor a list
// of untagged images. So an image counts as pushed when the gateway first saw it, and
// an untagged one is listed if the gateway saw it before.
type registry struct {
	address string
	puller  *remote.Puller // finds out once, and not at every call, that the registry wants no login

	mu   sync.Mutex
	seen map[imageKey]time.Time
}

type imageKey struct{ repository, digest string }

// image is a manifest of the registry with its tags.
type image struct {
	digest string
	tags   []string // sorted
	pushed time.Time
}

// repository is a snapshot of a repository of the registry.
type repository struct {
	*registry
	ctx    context.Context // of the call
	at     name.Repository
	name   string
	images []image // oldest push first
}

func newRegistry(address string) *registry {
	puller, err := remote.NewPuller()
	if err != nil { // only options can be wrong, and there are none
		panic(err)
	}
	return &registry{address: address, puller: puller, seen: map[imageKey]time.Time{}}
}

// open returns a repository. One without a push is empty.
func (r *registry) open(ctx context.Context, repositoryName string) (repository, error) {
	repo := repository{registry: r, ctx: ctx, name: repositoryName}
	var err error
	if repo.at, err = name.NewRepository(r.address+"/"+repositoryName, name.Insecure); err != nil {
		return repo, err
	}
	tags, err := remote.List(repo.at, repo.options()...)
	if err != nil && !absent(err) {
		return repo, err
	}
	slices.Sort(tags)
	byDigest := map[string][]string{}
	for _, tag := range tags {
		digest, err := repo.digest(repo.at.Tag(tag))
		if err != nil {
			return repo, err
		}
		if digest != "" {
			byDigest[digest] = append(byDigest[digest], tag)
		}
	}
	for _, digest := range repo.seenBefore() {
		if _, tagged := byDigest[digest]; tagged {
			continue
		}
		there, err := repo.digest(repo.at.Digest(digest))
		if err != nil {
			return repo, err
		}
		if there != "" {
			byDigest[digest] = nil
		}
	}
	for digest, tags := range byDigest {
		repo.images = append(repo.images, image{digest, tags, repo.firstSeen(digest)})
	}
	slices.SortFunc(repo.images, func(a, b image) int { return cmp.Or(a.pushed.Compare(b.pushed), cmp.Compare(a.digest, b.digest)) })
	return repo, nil
}

func (r repository) options() []remote.Option {
	return []remote.Option{remote.Reuse(r.puller), remote.WithContext(r.ctx)}
}

// digest returns the digest of a tag or digest; "" if there is no such image.
func (r repository) digest(ref name.Reference) (string, error) {
	head, err := remote.Head(ref, r.options()...)
	if absent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return head.Digest.String(), nil
}

func (r repository) seenBefore() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var digests []string
	for key := range r.seen {
		if key.repository == r.name {
			digests = append(digests, key.digest)
		}
	}
	return digests
}

func (r repository) firstSeen(digest string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := imageKey{r.name, digest}
	if _, known := r.seen[key]; !known {
		r.seen[key] = time.Now()
	}
	return r.seen[key]
}

// find returns an image; nil if it does not exist. An untagged image that the gateway
// never saw is in the registry only.
func (r repository) find(id imageID) (*image, error) {
	for _, i := range r.images {
		if (id.Tag == "" || slices.Contains(i.tags, id.Tag)) && (id.Digest == "" || id.Digest == i.digest) {
			return &i, nil
		}
	}
	if _, err := v1.NewHash(id.Digest); err != nil || id.Tag != "" {
		return nil, nil
	}
	digest, err := r.digest(r.at.Digest(id.Digest))
	if err != nil || digest == "" {
		return nil, err
	}
	return &image{digest, nil, r.firstSeen(digest)}, nil
}

func (r repository) get(digest string) (*remote.Descriptor, error) {
	return remote.Get(r.at.Digest(digest), r.options()...)
}

// put stores a manifest under its tag, or under its digest alone.
func (r repository) put(id imageID, m remote.Taggable) error {
	var ref name.Reference = r.at.Digest(id.Digest)
	if id.Tag != "" {
		ref = r.at.Tag(id.Tag)
	}
	return remote.Put(ref, m, remote.WithContext(r.ctx))
}

// delete deletes an image with its tags.
func (r repository) delete(i image) error {
	if err := remote.Delete(r.at.Digest(i.digest), remote.WithContext(r.ctx)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, imageKey{r.name, i.digest})
	return nil
}

// size returns the size of a manifest's blobs in the registry; of several platforms
// the largest one's, as in ECR.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
func (r repository) size(d *remote.Descriptor) (int64, error) {
	var m struct {
		Config    v1.Descriptor   `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := unmarshal(d.Manifest, &m); err != nil {
		return 0, err
	}
	size := m.Config.Size
	for _, layer := range m.Layers {
		size += layer.Size
	}
	for _, platform := range m.Manifests {
		manifest, err := r.get(platform.Digest.String())
		if err != nil {
			return 0, err
		}
		of, err := r.size(manifest)
		if err != nil {
			return 0, err
		}
		size = max(size, of)
	}
	return size, nil
}

// manifest is the manifest of a PutImage.
type manifest struct {
	raw       []byte
	mediaType types.MediaType
	digest    string
}

// newManifest returns a manifest with its digest. Without a media type, the
// manifest's own counts.
func newManifest(raw, mediaType string) (manifest, error) {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if err := unmarshal([]byte(raw), &m); err != nil {
		return manifest{}, err
	}
	if mediaType = cmp.Or(mediaType, m.MediaType); mediaType == "" {
		return manifest{}, errors.New("no media type")
	}
	digest, _, err := v1.SHA256(strings.NewReader(raw))
	return manifest{[]byte(raw), types.MediaType(mediaType), digest.String()}, err
}

// RawManifest and MediaType make it a remote.Taggable.
func (m manifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }

func absent(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}
