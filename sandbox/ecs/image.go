package ecs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
)

// pull fetches a task's image where it is absent, as the agent does by default.
// Images of ECR are pulled with the host's role.
func (a *Agent) pull(r *run) (string, *failure) {
	name := r.Container.Image
	options := image.PullOptions{}
	// A new host on AWS has no images: ECR is asked also where another host's pull
	// has left the image in this Docker.
	repository, ours := strings.CutPrefix(name, a.config.Registry+"/")
	if ours {
		login, fault := a.login(r, repository)
		if fault != nil {
			return "", fault
		}
		options.RegistryAuth = login
	}
	_, absent := a.docker.ImageInspect(r.prepared, name)
	if absent == nil && (!ours || strings.Contains(name, "@")) {
		return name, nil // a digest always names the same
	}
	progress, err := a.docker.ImagePull(r.prepared, name, options)
	if err == nil {
		err = pulled(progress)
	}
	if err != nil && absent != nil {
		return "", &failure{"CannotPullContainerError", explained(err)}
	}
	return name, nil
}

// hints are what the agent puts before Docker's words that it knows.
var hints = []struct{ words, hint string }{
	{"pull access denied", "The task can’t pull the image. Check whether the image exists. "},
	{"manifest unknown", "The task can’t pull the image. Check whether the image exists. "},
	{"dial tcp", "The task can’t pull the image. Check your network configuration. "},
	{"net/http: ", "The task can’t pull the image. Check your network configuration. "},
}

func explained(err error) error {
	text := "Error response from daemon: " + strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	for _, h := range hints {
		if strings.Contains(text, h.words) {
			return errors.New(h.hint + text)
		}
	}
	return errors.New(text)
}

// pulled reads the progress to its end, which is also where errors are told.
func pulled(progress io.ReadCloser) error {
	defer progress.Close()
	for lines := json.NewDecoder(progress); ; {
		var line struct {
			Error string `json:"error"`
		}
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
	}
}

// login asks ECR for the image and for the registry's password, as the host: who
// may not, or where there is no such image, is told in ECS's words.
func (a *Agent) login(r *run, repository string) (string, *failure) {
	cannot := func(hint string, err error) *failure {
		return &failure{"CannotPullContainerError", fmt.Errorf("The task can’t pull the image. %s %w", hint, err)} //nolint:staticcheck // ECS's words
	}
	role, err := a.hostRole(r.prepared, r.host)
	if err != nil {
		return "", cannot("Check that the role has the permissions to pull images from the registry.", err)
	}
	client := ecr.NewFromConfig(a.as(r.host.roles, role, hostService))
	given, err := client.GetAuthorizationToken(r.prepared, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", cannot("Check that the role has the permissions to pull images from the registry.", err)
	}
	id, repository := imageID(repository)
	found, err := client.BatchGetImage(r.prepared, &ecr.BatchGetImageInput{RepositoryName: &repository, ImageIds: []types.ImageIdentifier{id}})
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode() == "RepositoryNotFoundException":
		return "", cannot("Check whether the image exists.", err)
	case err != nil:
		return "", cannot("Check that the role has the permissions to pull images from the registry.", err)
	case len(found.Images) == 0:
		return "", cannot("Check whether the image exists.", fmt.Errorf("Error response from daemon: manifest for %s not found", r.Container.Image)) //nolint:staticcheck // Docker's words
	}
	user, password, err := account(given.AuthorizationData)
	if err != nil {
		return "", cannot("", err)
	}
	login, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: user, Password: password})
	if err != nil {
		return "", cannot("", err)
	}
	return login, nil
}

// account reads ECR's token, "USER:PASSWORD" in base64; Docker takes only the two.
func account(given []types.AuthorizationData) (user, password string, err error) {
	if len(given) == 0 {
		return "", "", errors.New("missing authorization data")
	}
	text, err := base64.StdEncoding.DecodeString(*given[0].AuthorizationToken)
	user, password, _ = strings.Cut(string(text), ":")
	return user, password, err
}

// imageID splits REPOSITORY@DIGEST or REPOSITORY:TAG.
func imageID(name string) (types.ImageIdentifier, string) {
	if repository, digest, by := strings.Cut(name, "@"); by {
		return types.ImageIdentifier{ImageDigest: &digest}, repository
	}
	repository, tag, tagged := strings.Cut(name, ":")
	if !tagged {
		tag = "latest"
	}
	return types.ImageIdentifier{ImageTag: &tag}, repository
}
