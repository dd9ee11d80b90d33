package ecs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
)

// The two names that the agent gives a failed pull (amazon-ecs-agent,
// agent/dockerclient/dockerapi/errors.go): it calls ECR itself only for the
// registry's password; all else of a pull is Docker's.
const (
	cannotPullECR = "CannotPullECRContainerError"
	cannotPull    = "CannotPullContainerError"
)

// pull pulls a task's image if it is absent, as the agent does by default.
func (a *Agent) pull(r *run) (string, *failure) {
	name := r.Container.Image
	options := image.PullOptions{}
	// A new host on AWS has no images: ECR is asked even if another host's pull
	// has left the image in this Docker.
	repository, ours := strings.CutPrefix(name, a.config.Registry+"/")
	if ours {
		login, fault := a.login(r, name, repository)
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
		return "", &failure{cannotPull, explained(err)}
	}
	return name, nil
}

// hints are the texts that the agent puts before Docker errors that it knows.
var hints = []struct{ words, hint string }{
	{"is not authorized to perform: ecr:BatchGetImage", "The task can’t pull the image. Check that the role has the permissions to pull images from the registry. "},
	{"pull access denied", "The task can’t pull the image. Check whether the image exists. "},
	{"name unknown", "The task can’t pull the image. Check whether the image exists. "},
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

// pulled reads the progress to its end, and returns the error in it.
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

// login returns the registry's password for Docker. It asks ECR for the image too:
// AWS's registry checks the same right when Docker pulls, and the sandbox's does not.
func (a *Agent) login(r *run, name, repository string) (string, *failure) {
	config, err := a.puller(r)
	if err != nil {
		return "", &failure{cannotPullECR, err}
	}
	client := ecr.NewFromConfig(config)
	given, err := client.GetAuthorizationToken(r.prepared, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", &failure{cannotPullECR, err}
	}
	user, password, err := account(given.AuthorizationData)
	if err != nil {
		return "", &failure{cannotPullECR, err}
	}
	if err := offers(r.prepared, client, name, repository); err != nil {
		return "", &failure{cannotPull, explained(err)}
	}
	login, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: user, Password: password})
	if err != nil {
		return "", &failure{cannotPullECR, err}
	}
	return login, nil
}

// puller returns the configuration of AWS clients in the role that pulls a task's
// image: its execution role if it has one, else the host's (amazon-ecs-agent,
// Container.ShouldPullWithExecutionRole).
func (a *Agent) puller(r *run) (aws.Config, error) {
	if role := r.Container.ExecutionRoleARN; role != "" {
		return a.as(r.roles, role, taskService), nil
	}
	role, err := a.hostRole(r.prepared, r.host)
	return a.as(r.host.roles, role, hostService), err
}

// offers returns, in Docker's words, why the registry does not give out the image.
func offers(ctx context.Context, client *ecr.Client, name, repository string) error {
	id, repository := imageID(repository)
	found, err := client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &repository, ImageIds: []types.ImageIdentifier{id}})
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode() == "AccessDeniedException":
		return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login': denied: %s", name, refused.ErrorMessage())
	case errors.As(err, &refused) && refused.ErrorCode() == "RepositoryNotFoundException":
		return fmt.Errorf("repository %s not found: name unknown: %s", name, refused.ErrorMessage())
	case err != nil:
		return err
	case len(found.Images) == 0:
		return fmt.Errorf("manifest for %s not found: manifest unknown: Requested image not found", name)
	}
	return nil
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
