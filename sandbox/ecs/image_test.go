package ecs_test

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/sandbox/baseimage/dockertest"
)

// pushed puts the test's image into a registry, and returns its name there by
// digest. Docker forgets it.
func (s *onDocker) pushed() string {
	if s.registry == "" {
		s.registry = dockertest.Registry(s.T(), account)
	}
	name := s.registry + "/there"
	s.cli("login", "-u", account.Username, "-p", account.Password, s.registry)
	s.cli("tag", testImage, name+":1")
	s.cli("push", name+":1")
	names := strings.Fields(s.cli("inspect", "-f", `{{join .RepoDigests " "}}`, name+":1"))
	byDigest := names[slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, name+"@") })]
	s.cli("logout", s.registry)
	s.cli("rmi", name+":1") // and with its last tag the digest
	return byDigest
}

// Which role pulls is decided by the task, on EC2 too.
func (s *onDocker) TestAnImageIsPulledByDigestWithTheTasksExecutionRoleElseTheHosts() {
	defer func() { s.registry = "" }()
	for role, puller := range map[string]string{roleARN("execution"): "execution-by-ecs-tasks-1", "": "host-by-ec2-1"} {
		image := s.pushed()
		w := s.world()
		t := task("say", "hello")
		t.Container.Image, t.Container.ExecutionRoleARN = image, role
		lines, _ := w.output(t)
		assert.Equal(w, []string{"hello"}, lines)
		for _, operation := range []string{"GetAuthorizationToken", "BatchGetImage"} {
			assert.Equal(w, []string{puller}, w.keys(operation), operation)
		}
		w.mu.Lock()
		for _, made := range w.calls {
			if made.operation == "BatchGetImage" {
				assert.Contains(w, made.body, image[strings.Index(image, "@")+1:])
			}
		}
		w.mu.Unlock()
	}
}

func (s *onDocker) TestAnImageThatThisDockerHasIsStillRefusedToARoleThatMayNotPull() {
	defer func() { s.registry = "" }()
	image := s.pushed()
	w := s.world()
	t := task("say", "hello")
	t.Container.Image = image
	w.output(t) // now it is there, by a role that may
	w.host("i-2", 0)
	t = task("say", "hello")
	t.HostID, t.Container.Image = "i-2", image
	w.mu.Lock()
	w.answers["BatchGetImage"] = answer{code: "AccessDeniedException", message: "User: X is not authorized to perform: ecr:BatchGetImage"}
	w.mu.Unlock()
	assert.Contains(w, w.refusedStart(t).Reason, "Check that the role has the permissions", "on AWS, a new host has no images yet")
}

func (s *onDocker) TestAnImageThatCannotBePulledIsToldInECSsWords() {
	s.registry = "127.0.0.1:1"
	defer func() { s.registry = "" }()
	w := s.world()
	denied := func(action string) answer {
		return answer{code: "AccessDeniedException", message: "User: X is not authorized to perform: " + action}
	}
	const (
		digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000000"
		pull   = "CannotPullContainerError: The task can’t pull the image. "
	)
	for name, test := range map[string]struct {
		image   string
		special map[string]answer
		begins  string
		words   string
	}{
		"no token": {"127.0.0.1:1/there" + digest, map[string]answer{"GetAuthorizationToken": denied("ecr:GetAuthorizationToken")},
			"CannotPullECRContainerError: ", "AccessDeniedException: User: X is not authorized to perform: ecr:GetAuthorizationToken"},
		"no image": {"127.0.0.1:1/there" + digest, map[string]answer{"BatchGetImage": denied("ecr:BatchGetImage")},
			pull, "Check that the role has the permissions to pull images from the registry. Error response from daemon: pull access denied for 127.0.0.1:1/there@sha256:"},
		"missing": {"127.0.0.1:1/absent" + digest, nil, pull, "Check whether the image exists. "},
		"no repository": {"127.0.0.1:1/absent:1", map[string]answer{"BatchGetImage": {code: "RepositoryNotFoundException", message: "The repository does not exist"}},
			pull, "Check whether the image exists. Error response from daemon: repository 127.0.0.1:1/absent:1 not found: name unknown: The repository does not exist"},
		"nobody's answer": {"127.0.0.1:1/there" + digest, nil, pull, "Check your network configuration. Error response from daemon: "},
	} {
		w.mu.Lock()
		w.answers = test.special
		w.mu.Unlock()
		t := task("exit", "0")
		t.Container.Image = test.image
		ending := w.refusedStart(t)
		assert.Equal(w, "Task failed to start", ending.StatusReason, name)
		assert.True(w, strings.HasPrefix(ending.Reason, test.begins), "%s: %s", name, ending.Reason)
		assert.Contains(w, ending.Reason, test.words, name)
	}
}
