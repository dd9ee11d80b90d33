package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ecrImages answers ECR's image calls from the local registry, to which images are
// pushed: moto has no registry and knows only the images of PutImage. moto still has
// the repositories.
//
// Lifecycle policies, which moto only stores, are applied. Amazon ECR expires images
// within 24 hours; here it happens before each call about a repository's images, and
// before a login. Every push begins with a login, so images are seen in the order in
// which they were pushed.
func ecrImages(address string) Behaviour {
	e := &images{registry: newRegistry(address)}
	return Behaviour{Name: "ecr images", Service: "ecr", Answers: map[string]Handler{
		"DescribeImages":        e.describe,
		"BatchGetImage":         e.get,
		"PutImage":              e.put,
		"DeleteRepository":      e.removeRepository,
		"PutLifecyclePolicy":    e.putLifecyclePolicy,
		"GetAuthorizationToken": e.login,
		"ListImages":            refuseImages, // moto would answer without images
		"BatchDeleteImage":      refuseImages,
	}}
}

func refuseImages(c *Call) (*http.Response, error) {
	return nil, Unsupported("the sandbox does not know ECR's %s", c.Operation)
}

type images struct {
	registry *registry
	expiring sync.Mutex // one call at a time expires images
}

// imageID identifies an image by digest, by tag, or by both, which then have to
// agree.
type imageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

// String returns the id as AWS writes it in an error.
func (id imageID) String() string {
	return fmt.Sprintf("{imageDigest:'%s', imageTag:'%s'}", cmp.Or(id.Digest, "null"), cmp.Or(id.Tag, "null"))
}

// imagesInput has the members of these calls that the sandbox knows.
type imagesInput struct {
	RegistryID     string    `json:"registryId"`
	RepositoryName string    `json:"repositoryName"`
	ImageIDs       []imageID `json:"imageIds"`

	Force bool `json:"force"` // DeleteRepository

	Tag                    string `json:"imageTag"` // PutImage, as the next three
	Digest                 string `json:"imageDigest"`
	ImageManifest          string `json:"imageManifest"`
	ImageManifestMediaType string `json:"imageManifestMediaType"`
}

// imageCall is an image call with its repository.
type imageCall struct {
	imagesInput
	repository
	account string
}

// failure is BatchGetImage's answer for an image that does not exist.
type failure struct {
	ID     imageID `json:"imageId"`
	Code   string  `json:"failureCode"`
	Reason string  `json:"failureReason"`
}

// open decodes a call and opens its repository. If moto does not have the repository,
// moto's refusal is the answer.
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
	if len(known.Repositories) == 0 { // moto has one with this name in another account
		return in, badRequest("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", in.RepositoryName, in.RegistryID)
	}
	in.account = known.Repositories[0].RegistryID
	in.repository, err = e.expire(c, in.RepositoryName)
	return in, err
}

// expire returns a repository after deleting the images that its lifecycle policy
// expires.
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

// login expires images of every repository before it answers.
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

// putLifecyclePolicy refuses a policy that Amazon ECR would refuse, or that the
// sandbox cannot apply.
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

// detail returns an image as DescribeImages does.
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

// put adds a tag to an image: it stores a manifest with layers that the registry has.
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

// removeRepository refuses to delete a repository with images unless forced, as ECR
// does, and deletes the images, which moto does not know.
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

// shown returns an image as BatchGetImage and PutImage do.
func (in imageCall) shown(id imageID, manifest string, mediaType types.MediaType) map[string]any {
	return map[string]any{
		"registryId": in.account, "repositoryName": in.name, "imageId": id,
		"imageManifest": manifest, "imageManifestMediaType": mediaType,
	}
}
