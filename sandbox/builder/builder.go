// Package builder is the sandbox's builder: a machine for an EC2 instance, which
// is a Debian container with a Docker and an ssh daemon of its own. It runs the
// instance's user data at its first start, as cloud-init does.
package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

//go:embed machine
var machineFiles embed.FS

// repository is that of the image of a machine before its first start.
const repository = "dcv-sessions/builder"

// Config configures machines.
type Config struct {
	DockerHost string        // a DOCKER_HOST
	Label      string        // the value of the containers' label local.Label
	Root       Root          // the machines' file system
	Minute     time.Duration // of the watchdog: tests have shorter ones
	Allowed    func() error  // why no machine may be started: it has every capability here
	Log        io.Writer     // one line a fault
}

// Machines implements gateway.Machines.
type Machines struct {
	config Config
	log    *log.Logger

	mu    sync.Mutex
	known map[string]*machine
}

// machine is an instance's container.
type machine struct {
	id       string
	changing sync.Mutex // held while it starts, stops or goes

	// Under Machines.mu.
	state   string // on its way: "pending" or "stopping"; "" otherwise
	online  bool
	sshPort int // 0 until it is made
}

// New makes the machines of one local AWS; no container is made yet.
func New(config Config) *Machines {
	return &Machines{config: config, log: log.New(config.Log, "builder: ", log.LstdFlags), known: map[string]*machine{}}
}

func (m *Machines) machine(id string) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[id]
}

// look is a machine as it is now.
func (m *Machines) look(of *machine) (state string, online bool, sshPort int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of.state, of.online, of.sshPort
}

func (m *Machines) set(of *machine, state string, online bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of.state, of.online = state, online
}

func container(id string) string { return "builder-" + id }

// State implements gateway.Machines. A machine that has powered itself off is
// seen by its container.
func (m *Machines) State(ctx context.Context, id string) (string, error) {
	of := m.machine(id)
	if of == nil {
		return "", nil
	}
	if way, _, _ := m.look(of); way != "" {
		return way, nil
	}
	if m.runs(ctx, id) {
		return "running", nil
	}
	return "stopped", ctx.Err()
}

func (m *Machines) runs(ctx context.Context, id string) bool {
	out, err := m.docker(ctx, "inspect", "--format", "{{.State.Running}}", container(id)).Output()
	return err == nil && strings.TrimSpace(string(out)) == "true"
}

// Online implements gateway.Machines.
func (m *Machines) Online(id string) bool {
	of := m.machine(id)
	if of == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, online, _ := m.look(of)
	return online && m.runs(ctx, id)
}

// Start implements gateway.Machines.
func (m *Machines) Start(id string, userData []byte) error {
	if err := m.config.Allowed(); err != nil {
		return err
	}
	m.mu.Lock()
	of := m.known[id]
	if of == nil {
		of = &machine{id: id}
		m.known[id] = of
	}
	of.state = "pending"
	m.mu.Unlock()
	go m.change(of, "start", func(ctx context.Context) error { return m.start(ctx, of, userData) }, true)
	return nil
}

// Stop implements gateway.Machines. Docker in it ends in order.
func (m *Machines) Stop(id string) {
	if of := m.machine(id); of != nil {
		m.set(of, "stopping", false)
		go m.change(of, "stop", func(ctx context.Context) error {
			return m.run(m.docker(ctx, "stop", "--time", "60", container(id)))
		}, false)
	}
}

// Remove implements gateway.Machines.
func (m *Machines) Remove(id string) {
	m.mu.Lock()
	of := m.known[id]
	delete(m.known, id)
	m.mu.Unlock()
	if of != nil {
		go m.change(of, "removal", func(ctx context.Context) error {
			return m.run(m.docker(ctx, "rm", "--force", "--volumes", container(id)))
		}, false)
	}
}

// change does one thing after the other to a machine.
func (m *Machines) change(of *machine, what string, do func(context.Context) error, online bool) {
	of.changing.Lock()
	defer of.changing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := do(ctx); err != nil {
		m.log.Printf("%s of %s: %v", what, of.id, err)
		online = false
	}
	m.set(of, "", online)
	if _, _, made := m.look(of); made == 0 { // the next call tries again
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.known, of.id)
	}
}

// start starts the machine, and creates it if it is new.
func (m *Machines) start(ctx context.Context, of *machine, userData []byte) error {
	if _, _, made := m.look(of); made != 0 {
		return m.run(m.docker(ctx, "start", container(of.id)))
	}
	image, err := m.image(ctx)
	if err != nil {
		return err
	}
	return m.make(ctx, of, image, userData)
}

// image returns the image of a machine before its first start. It imports the image into
// a Docker that lacks it.
func (m *Machines) image(ctx context.Context) (string, error) {
	image := repository + ":" + debian.Key()
	if m.docker(ctx, "image", "inspect", image).Run() == nil {
		return image, nil
	}
	if err := m.config.Root.Make(ctx, local.Progress{Out: m.config.Log}); err != nil {
		return "", err
	}
	return image, m.run(m.docker(ctx, "import", m.config.Root.file(), image))
}

// make makes the container, lets it run its user data and waits for its Docker.
func (m *Machines) make(ctx context.Context, of *machine, image string, userData []byte) error {
	port, err := local.FreePort()
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	args := append([]string{
		"create", "--name", container(of.id), "--hostname", of.id, "--label", local.Label + "=" + m.config.Label,
		"--entrypoint", programs + "/init", "--stop-signal", "SIGTERM",
		"--network", "host", "--tmpfs", "/run:exec,mode=755", "--volume", "/var/lib/docker",
		"--env", fmt.Sprint("SSH_PORT=", port), "--env", fmt.Sprint("BUILDER_MINUTE=", m.config.Minute.Seconds()),
	}, append(privileges(string(status)), image)...)
	_ = m.docker(ctx, "rm", "--force", "--volumes", container(of.id)).Run() // leftovers of an earlier attempt
	if err := m.run(m.docker(ctx, args...)); err != nil {
		return err
	}
	if err := m.put(ctx, of.id, userData); err != nil {
		return err
	}
	if err := m.run(m.docker(ctx, "start", container(of.id))); err != nil {
		return err
	}
	m.mu.Lock()
	of.sshPort = port
	m.mu.Unlock()
	for m.docker(ctx, "exec", container(of.id), "docker", "version").Run() != nil {
		if !m.runs(ctx, of.id) {
			log, _ := m.docker(ctx, "logs", container(of.id)).CombinedOutput()
			return fmt.Errorf("it ended at once: %s", log)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

// programs is the folder of the programs that stand for cloud-init and systemd.
const programs = "/usr/local/sbin"

// put copies these programs and the user data into a machine.
func (m *Machines) put(ctx context.Context, id string, userData []byte) error {
	files := map[string][]byte{"/var/lib/user-data": userData}
	entries, err := machineFiles.ReadDir("machine")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if files[programs+"/"+entry.Name()], err = machineFiles.ReadFile("machine/" + entry.Name()); err != nil {
			return err
		}
	}
	archive, err := archiveOf(files)
	if err != nil {
		return err
	}
	cmd := m.docker(ctx, "cp", "-", container(id)+":/")
	cmd.Stdin = archive
	return m.run(cmd)
}

// archiveOf returns a tar archive of programs by their paths.
func archiveOf(files map[string][]byte) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for path, content := range files {
		header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: int64(len(content)), ModTime: time.Now()}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return &archive, w.Close()
}

// capabilities are those that a process can have at most, as the kernel shows
// them.
var capabilities = regexp.MustCompile(`(?m)^CapBnd:\s*([0-9a-f]+)$`)

// resource is the bit of CAP_SYS_RESOURCE.
const resource = 24

// privileges are those of a privileged container, which a Docker in it needs. It
// is put together here since Docker itself asks for every capability, and a
// machine may lack one that can be done without. status is a process's, as the
// kernel shows it.
func privileges(status string) []string {
	args := []string{
		"--cap-add", "ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
		"--device-cgroup-rule", "a *:* rwm", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
	}
	var bounds uint64
	if found := capabilities.FindStringSubmatch(status); found != nil {
		bounds, _ = strconv.ParseUint(found[1], 16, 64)
	}
	if bounds&(1<<resource) == 0 {
		args = append(args, "--cap-drop", "SYS_RESOURCE")
	}
	return args
}

// Run implements gateway.Machines.
func (m *Machines) Run(ctx context.Context, id, script string) (gateway.Ran, error) {
	var out, complaint bytes.Buffer
	cmd := m.docker(ctx, "exec", "--interactive", container(id), "sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &out, &complaint
	err := cmd.Run()
	ran := gateway.Ran{Stdout: out.String(), Stderr: complaint.String()}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		ran.Code, err = exit.ExitCode(), nil
	}
	return ran, err
}

func (m *Machines) docker(ctx context.Context, args ...string) *exec.Cmd {
	return local.Docker(ctx, m.config.DockerHost, args...)
}

// run runs a command; its output is in the error if it fails.
func (m *Machines) run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker %s: %w\n%s", cmd.Args[1], err, out)
	}
	return nil
}
