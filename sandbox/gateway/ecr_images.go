package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ecrImages answers ECR's image calls from the local registry, where images are
// pushed to: moto knows no registry, only what PutImage tells it. Which
// repositories exist is still moto's to say.
//
// Lifecycle policies, which moto only keeps, are carried out. Amazon ECR expires
// images within 24 hours; here it is done before each call about a repository's
// images, and before a login. Whoever pushes logs in first, so that images are
// seen in the order in which they were pushed.
func ecrImages(address string) Behaviour {
	e := &images{registry: newRegistry(address)}
	return Behaviour{Name: "ecr images", Service: "ecr", Answers: map[string]Handler{
		"DescribeImages":        e.describe,
		"BatchGetImage":         e.get,
		"PutImage":              e.put,
		"DeleteRepository":      e.removeRepository,
		"PutLifecyclePolicy":    e.putLifecyclePolicy,
		"GetAuthorizationToken": e.login,
		"ListImages":            notImages, // moto would answer of its own images, and has none
		"BatchDeleteImage":      notImages,
	}}
}

func notImages(c *Call) (*http.Response, error) {
	return nil, Unsupported("the sandbox does not know ECR's %s", c.Operation)
}

type images struct {
	registry *registry
	expiring sync.Mutex // one call at a time expires images
}

// imageID names an image by digest, by tag, or by both, which must then agree.
type imageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

// String is how AWS writes it into an error.
func (id imageID) String() string {
	return fmt.Sprintf("{imageDigest:'%s', imageTag:'%s'}", cmp.Or(id.Digest, "null"), cmp.Or(id.Tag, "null"))
}

// imagesInput has the members of all these calls that the sandbox knows.
type imagesInput struct {
	RegistryID     string    `json:"registryId"`
	RepositoryName string    `json:"repositoryName"`
	ImageIDs       []imageID `json:"imageIds"`

	Force bool `json:"force"` // DeleteRepository

	Tag                    string `json:"imageTag"` // PutImage, as what follows
	Digest                 string `json:"imageDigest"`
	ImageManifest          string `json:"imageManifest"`
	ImageManifestMediaType string `json:"imageManifestMediaType"`
}

// imageCall is an image call that was read.
type imageCall struct {
	imagesInput
	repository
	account string
}

// failure is how BatchGetImage reports an image that is not there.
type failure struct {
	ID     imageID `json:"imageId"`
	Code   string  `json:"failureCode"`
	Reason string  `json:"failureReason"`
}

// open reads a call and its repository; one that moto does not have is refused
// in moto's words.
func (e *images) open(c *Call) (in imageCall, err error) {
	if err := c.Known(&in.imagesInput); err != nil {
		return in, err
	}
	var known struct {
		Repositories []struct {
			RegistryID string `json:"registryId"`
		} `json:"repositories"`
	}
	ask := map[string]any{"repositoryNames": []string{in.RepositoryName}}
	if in.RegistryID != "" {
		ask["registryId"] = in.RegistryID
	}
	if err := c.Ask("DescribeRepositories", ask, &known); err != nil {
		return in, err
	}
	if len(known.Repositories) == 0 { // moto has one by this name, but of another account
		return in, badRequest("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", in.RepositoryName, in.RegistryID)
	}
	in.account = known.Repositories[0].RegistryID
	in.repository, err = e.expire(c, in.RepositoryName)
	return in, err
}

// expire opens a repository once what its lifecycle policy expires is gone.
func (e *images) expire(c *Call, name string) (repository, error) {
	e.expiring.Lock()
	defer e.expiring.Unlock()
	repo, err := e.registry.open(c.Request.Context(), name)
	if err != nil {
		return repo, err
	}
	var kept struct {
		Text string `json:"lifecyclePolicyText"`
	}
	err = c.Ask("GetLifecyclePolicy", map[string]string{"repositoryName": name}, &kept)
	var none *refusal
	if errors.As(err, &none) {
		return repo, none.res.Body.Close()
	}
	if err != nil {
		return repo, err
	}
	policy, err := parseLifecyclePolicy(kept.Text)
	if err != nil {
		return repo, err
	}
	gone := policy.expired(repo.images)
	for _, i := range gone {
		if err := repo.delete(i); err != nil {
			return repo, err
		}
	}
	if len(gone) == 0 {
		return repo, nil
	}
	return e.registry.open(c.Request.Context(), name)
}

// login expires images of every repository before it lets somebody push or pull.
func (e *images) login(c *Call) (*http.Response, error) {
	var known struct {
		Repositories []struct {
			Name string `json:"repositoryName"`
		} `json:"repositories"`
	}
	if err := c.Ask("DescribeRepositories", struct{}{}, &known); err != nil {
		return nil, err
	}
	for _, r := range known.Repositories {
		if _, err := e.expire(c, r.Name); err != nil {
			return nil, err
		}
	}
	return c.Forward()
}

// putLifecyclePolicy refuses a policy that Amazon ECR would refuse, or that is not
// carried out here.
func (e *images) putLifecyclePolicy(c *Call) (*http.Response, error) {
	var in struct {
		Text string `json:"lifecyclePolicyText"`
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if _, err := parseLifecyclePolicy(in.Text); err != nil {
		return nil, badRequest("InvalidParameterException",
			"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: %v'", err)
	}
	return c.Forward()
}

func (e *images) describe(c *Call) (*http.Response, error) {
	in, err := e.open(c)
	if err != nil {
		return nil, err
	}
	chosen := in.images
	if len(in.ImageIDs) > 0 {
		chosen = nil
	}
	for _, id := range in.ImageIDs {
		found, err := in.find(id)
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, badRequest("ImageNotFoundException",
				"The image with imageId %s does not exist within the repository with name '%s' in the registry with id '%s'", id, in.name, in.account)
		}
		chosen = append(chosen, *found)
	}
	details := []map[string]any{}
	for _, i := range chosen {
		detail, err := in.detail(i)
		if err != nil {
			return nil, err
		}
		details = append(details, detail)
	}
	return answerJSON(c, http.StatusOK, map[string]any{"imageDetails": details}), nil
}

// detail is an image as DescribeImages shows it.
func (in imageCall) detail(i image) (map[string]any, error) {
	manifest, err := in.get(i.digest)
	if err != nil {
		return nil, err
	}
	size, err := in.size(manifest)
	if err != nil {
		return nil, err
	}
	detail := map[string]any{
		"registryId": in.account, "repositoryName": in.name, "imageDigest": i.digest, "imageSizeInBytes": size,
		"imagePushedAt": i.pushed.Unix(), "imageStatus": "ACTIVE", "imageManifestMediaType": manifest.MediaType,
	}
	if len(i.tags) > 0 {
		detail["imageTags"] = i.tags
	}
	return detail, nil
}

func (e *images) get(c *Call) (*http.Response, error) {
	in, err := e.open(c)
	if err != nil {
		return nil, err
	}
	got, failures := []map[string]any{}, []failure{}
	for _, id := range in.ImageIDs {
		found, err := in.find(id)
		if err != nil {
			return nil, err
		}
		if found == nil {
			failures = append(failures, failure{id, "ImageNotFound", "Requested image not found"})
			continue
		}
		manifest, err := in.get(found.digest)
		if err != nil {
			return nil, err
		}
		got = append(got, in.shown(imageID{found.digest, id.Tag}, string(manifest.Manifest), manifest.MediaType))
	}
	return answerJSON(c, http.StatusOK, map[string]any{"images": got, "failures": failures}), nil
}

// put takes a manifest whose layers are there: how an image gets a further tag.
func (e *images) put(c *Call) (*http.Response, error) {
	in, err := e.open(c)
	if err != nil {
		return nil, err
	}
	m, err := newManifest(in.ImageManifest, in.ImageManifestMediaType)
	if err != nil {
		return nil, badRequest("InvalidParameterException", "Invalid parameter at 'ImageManifest': %v", err)
	}
	if in.Digest != "" && in.Digest != m.digest {
		return nil, badRequest("ImageDigestDoesNotMatchException", "The image digest '%s' does not match the manifest's, '%s'", in.Digest, m.digest)
	}
	id := imageID{m.digest, in.Tag}
	found, err := in.find(id)
	if err != nil {
		return nil, err
	}
	if found != nil {
		return nil, badRequest("ImageAlreadyExistsException", "Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
			id.Digest, id.Tag, in.name, in.account)
	}
	if err := in.put(id, m); err != nil {
		return nil, err
	}
	return answerJSON(c, http.StatusOK, map[string]any{"image": in.shown(id, in.ImageManifest, m.mediaType)}), nil
}

// removeRepository keeps a repository with images, as ECR does, unless forced;
// then the images go too, which moto knows nothing of.
func (e *images) removeRepository(c *Call) (*http.Response, error) {
	in, err := e.open(c)
	if err != nil {
		return nil, err
	}
	if len(in.images) > 0 && !in.Force {
		return nil, badRequest("RepositoryNotEmptyException",
			"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", in.name, in.account)
	}
	for _, i := range in.images {
		if err := in.delete(i); err != nil {
			return nil, err
		}
	}
	return c.Forward()
}

// shown is an image as BatchGetImage and PutImage show it.
func (in imageCall) shown(id imageID, manifest string, mediaType types.MediaType) map[string]any {
	return map[string]any{
		"registryId": in.account, "repositoryName": in.name, "imageId": id,
		"imageManifest": manifest, "imageManifestMediaType": mediaType,
	}
}
