package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/awsmodel"
)

// services are the parts of the local AWS, in the order in which they start.
var services = []struct {
	name, why string
	start     func(context.Context, *Cloud) error
}{
	{"Docker", "images are built and sessions run on it", startDocker},
	{"the registry", "it holds the images behind ECR's addresses", startRegistry},
	{"the moto server", "it stands in for AWS's control plane", startMoto},
	{"the gateway", "it is the only AWS endpoint and adds what moto lacks", startGateway},
}

// dockerd names the sandbox's own Docker, the program and the process.
const dockerd = "dockerd"

// startDocker uses the running Docker or starts one of the sandbox's own, with its data
// in the work tree and without a bridge: sessions use the host's network, as on AWS.
func startDocker(ctx context.Context, c *Cloud) error {
	for _, host := range []string{os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock"} {
		if host != "" && dockerAnswers(ctx, host) {
			c.DockerHost = host
			return nil
		}
	}
	dir := socketDir(c.tree)
	c.DockerHost = "unix://" + dir + "/docker.sock"
	p, err := c.run(startProcess(dockerd, c.tree.path("docker.log"), exec.Command(dockerd,
		"--host", c.DockerHost, "--data-root", c.tree.path("docker"), "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--bridge", "none", "--iptables=false", "--ip6tables=false")))
	if err != nil {
		return err
	}
	return p.await(60*time.Second, func() bool { return dockerAnswers(ctx, c.DockerHost) })
}

// socketDir returns the folder with the sockets of the sandbox's own Docker and of moto.
// It is not in the work tree: the path of a Unix socket has at most 107 characters.
func socketDir(t Tree) string {
	sum := sha256.Sum256([]byte(t.State))
	return filepath.Join(os.TempDir(), "dcv-sessions-"+hex.EncodeToString(sum[:4]))
}

func dockerAnswers(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return Docker(ctx, host, "version", "--format", "{{.Server.Version}}").Run() == nil
}

// Docker returns a docker command for the Docker at a host.
func Docker(ctx context.Context, host string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, dockerClient(), args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+host, "DOCKER_BUILDKIT=1")
	return cmd
}

// dockerClient returns the docker program, the distribution's if there is one: it builds
// with BuildKit by itself, while newer ones need a plugin that may be missing.
func dockerClient() string {
	if _, err := os.Stat("/usr/bin/docker"); err == nil {
		return "/usr/bin/docker"
	}
	return "docker"
}

// Label marks the sandbox's containers; its value is the sandbox's folder.
const Label = "dcv-sessions.sandbox"

// cleanDocker removes this sandbox's containers and the images of its registry.
func (c *Cloud) cleanDocker(ctx context.Context) error {
	if c.DockerHost == "" || !dockerAnswers(ctx, c.DockerHost) {
		return nil
	}
	lists := []struct{ list, remove []string }{
		{[]string{"ps", "-aq", "--filter", "label=" + Label + "=" + c.tree.State}, []string{"rm", "-f", "-v"}},
		{[]string{"images", "-q", "--filter", "reference=" + c.Registry() + "/*"}, []string{"rmi", "-f"}},
		{[]string{"images", "-q", "--filter", "reference=" + c.Registry() + "/*/*"}, []string{"rmi", "-f"}},
	}
	for _, l := range lists {
		out, err := Docker(ctx, c.DockerHost, l.list...).Output()
		if err != nil {
			return fmt.Errorf("docker %s: %w", strings.Join(l.list, " "), err)
		}
		if ids := strings.Fields(string(out)); len(ids) > 0 {
			if out, err := Docker(ctx, c.DockerHost, append(l.remove, ids...)...).CombinedOutput(); err != nil {
				return fmt.Errorf("docker %s: %w\n%s", strings.Join(l.remove, " "), err, out)
			}
		}
	}
	return nil
}

const registryConfig = `version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q}
`

func startRegistry(ctx context.Context, c *Cloud) error {
	file := filepath.Join(c.Dir(), "registry.yaml")
	text := fmt.Sprintf(registryConfig, filepath.Join(c.Dir(), "registry"), c.Registry())
	if err := writePrivate(file, []byte(text)); err != nil {
		return err
	}
	p, err := c.run(startProcess("registry", filepath.Join(c.Dir(), "registry.log"), exec.Command("docker-registry", "serve", file)))
	if err != nil {
		return err
	}
	return p.await(20*time.Second, func() bool { return answers(ctx, "http://"+c.Registry()+"/v2/") })
}

// startMoto starts moto on a Unix socket that only this user may open: moto accepts any
// key and answers every web page (flask-cors), and a Batch job that is submitted to it
// directly runs on this machine's Docker.
func startMoto(ctx context.Context, c *Cloud) error {
	cmd := exec.Command(motoServer(c.tree), "-H", "unix://"+c.motoSocket())
	// Without this, AWS's managed policies do not exist and can't be attached.
	cmd.Env = append(os.Environ(), "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	p, err := c.run(startProcess("moto", filepath.Join(c.Dir(), "moto.log"), cmd))
	if err != nil {
		return err
	}
	return p.await(60*time.Second, func() bool { return answers(ctx, SocketURL(c.motoSocket())+"/moto-api/") })
}

func (c *Cloud) motoSocket() string { return filepath.Join(socketDir(c.tree), "moto.sock") }

// AccessKeyVariable is the variable that passes the administrator's access key to the
// gateway: everybody can read the arguments of a process, only its user the environment
// (proc_pid_environ(5)).
const AccessKeyVariable = "DCV_SANDBOX_ACCESS_KEY"

func startGateway(ctx context.Context, c *Cloud) error {
	models, err := awsmodel.Find(ctx, motoServer(c.tree))
	if err != nil {
		return err
	}
	args := []string{
		"gateway", "-listen", fmt.Sprintf("127.0.0.1:%d", c.Ports.Gateway), "-moto", SocketURL(c.motoSocket()),
		"-registry", c.Registry(), "-start", c.ID, "-configs", c.Dir(), "-docker", c.DockerHost, "-label", c.tree.State, "-models", models,
		"-cache", c.tree.Cache,
	}
	for flag, variable := range map[string]string{
		"-host-start": "DCV_HOST_START", "-host-idle": "DCV_HOST_IDLE", "-event-retry": "DCV_EVENT_RETRY",
		"-builder-minute": "DCV_BUILDER_MINUTE", "-update-minute": "DCV_UPDATE_MINUTE", "-alarm-minute": "DCV_ALARM_MINUTE",
	} {
		if value := os.Getenv(variable); value != "" {
			args = append(args, flag, value)
		}
	}
	cmd := exec.Command(filepath.Join(c.tree.Bin(), "sandbox"), args...)
	cmd.Env = append(os.Environ(), AccessKeyVariable+"="+c.AccessKey)
	p, err := c.run(startProcess("gateway", filepath.Join(c.Dir(), "gateway.log"), cmd))
	if err != nil {
		return err
	}
	return p.await(20*time.Second, func() bool { return c.GetJSON(ctx, healthPath, &struct{}{}) == nil })
}

// await waits until a process serves. If it ends or takes too long, the error has the
// end of its log.
func (p Process) await(limit time.Duration, serves func() bool) error {
	ended := false
	if WaitUntil(limit, func() bool { ended = !p.Alive(); return ended || serves() }) && !ended {
		return nil
	}
	if ended {
		return fmt.Errorf("%s ended at once: %s", p.Name, endOfFile(p.Log))
	}
	return fmt.Errorf("%s does not answer after %s: %s", p.Name, limit, endOfFile(p.Log))
}

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	res, err := Request(ctx, MotoKey, http.MethodGet, url)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}
