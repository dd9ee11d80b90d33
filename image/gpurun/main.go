// Command gpu-run starts a program so that it renders on the GPU, proves that it
// does, and refuses to run it otherwise (compare prime-run).
//
//	gpu-run [--api opengl|egl|vulkan] [--software] [--within 20s] [--] PROGRAM ARGS…
//	gpu-run --check [--api opengl|egl|vulkan] [--software]
//
// Before the start it asks the API's own tool for the renderer; after the start it
// reads which drivers the program has mapped. It logs the renderer to stderr in a
// line that begins with "gpu-run: renders", and a refusal in one that begins with
// "gpu-run: refused".
//
// Its exit code is the program's, or 128 and the signal's number if a signal killed
// it; 126 or 127 if the program can't be started; contract.ExitSoftware if it would
// be rendered by the processor, or nothing proves the contrary; contract.ExitGPU if
// the host should have a GPU and has none. A program's own exit code may be one of
// these too: the line "refused" makes the difference.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// The exit codes that are not of the contract, as a shell has them.
const (
	exitUsage     = 2
	exitNoProgram = 126
	exitNotFound  = 127
	exitSignal    = 128
)

const (
	defaultWithin  = 20 * time.Second
	defaultDevices = "/dev"
	deviceOfNVIDIA = "nvidiactl"              // every container with an NVIDIA GPU has it
	envVisible     = "NVIDIA_VISIBLE_DEVICES" // the devices requested from NVIDIA's container toolkit
)

// Messages on stderr.
const (
	onHardware = "renders on %s by %s (before: %s; after: %s mapped)"
	bySoftware = "renders in software by %s, as --software allows (%s)"
	refused    = "refused: %s would be rendered by the processor: %s; --software allows it"
	noDriver   = "%s is mapped, and no driver of a GPU"
	notProved  = "nothing proves yet where %s is rendered: after %s it has no driver mapped (before: %s)"
	usage      = `usage: gpu-run [--api opengl|egl|vulkan] [--software] [--within 20s] [--] PROGRAM ARGS…
       gpu-run --check [--api opengl|egl|vulkan] [--software]`
)

// The kernel binds a child's death signal to the thread that started it.
func init() { runtime.LockOSThread() }

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	r := runner{environ: os.Environ(), devices: defaultDevices, signals: signals, out: os.Stdout, errs: os.Stderr}
	os.Exit(r.main(os.Args[1:]))
}

// runner is one run of this program.
type runner struct {
	environ  []string
	devices  string // the folder of the device nodes
	signals  <-chan os.Signal
	out      io.Writer
	errs     io.Writer
	api      api
	software bool // is allowed
	within   time.Duration
}

func (r *runner) main(args []string) int {
	flags := flag.NewFlagSet("gpu-run", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("api", "", "")
	check := flags.Bool("check", false, "")
	flags.BoolVar(&r.software, "software", false, "")
	flags.DurationVar(&r.within, "within", defaultWithin, "")
	err := flags.Parse(args)
	chosen, known := find(*name)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(r.out, usage)
		return 0
	case err != nil:
	case !known:
		err = fmt.Errorf("--api %s is none of %s", *name, strings.Join(names(), ", "))
	case *check == (flags.NArg() > 0):
		err = errors.New("name a program, or --check alone")
	}
	if err != nil {
		r.say("%v\n%s", err, usage)
		return exitUsage
	}
	if *check {
		signal.Reset(passedOn...) // there is no program that they go on to
		return r.check(chosen)
	}
	r.api = chosen[0]
	return r.run(flags.Args())
}

func (r *runner) say(format string, values ...any) {
	fmt.Fprintf(r.errs, "gpu-run: "+format+"\n", values...)
}

// hasNVIDIA reports whether the container was given an NVIDIA GPU.
func (r *runner) hasNVIDIA() bool {
	_, err := os.Stat(filepath.Join(r.devices, deviceOfNVIDIA))
	return err == nil
}

// misses returns an error if the host should have a GPU and has none.
func (r *runner) misses() error {
	wanted := value(r.environ, envVisible)
	if wanted == "" || wanted == "void" || wanted == "none" || r.hasNVIDIA() {
		return nil
	}
	return fmt.Errorf("%s=%s, but there is no %s: the host's GPU or its driver is not there", envVisible, wanted, filepath.Join(r.devices, deviceOfNVIDIA))
}

// prove returns the renderer that a program gets in this environment. The error
// has the reason why it is no GPU, or why it is not known.
func (r *runner) prove(ctx context.Context, a api, env []string) (renderer, error) {
	who, err := a.ask(ctx, env)
	switch {
	case err != nil:
		return who, fmt.Errorf("nothing proves the contrary: %w", err)
	case who.software():
		return who, fmt.Errorf("%s gives %s", a.words, who)
	case who.nvidia() && !r.hasNVIDIA():
		return who, fmt.Errorf("%s gives %s, but there is no %s", a.words, who, filepath.Join(r.devices, deviceOfNVIDIA))
	}
	return who, nil
}

// check prints the renderer of each API. It returns 0 if all of them are on the
// GPU, or if software is allowed.
func (r *runner) check(apis []api) int {
	code := contract.ExitOK
	if err := r.misses(); err != nil {
		r.say("%v", err)
		code = contract.ExitGPU
	}
	for _, a := range apis {
		who, err := r.prove(context.Background(), a, onGPU(r.environ, r.hasNVIDIA()))
		where, what := "GPU", who.String()
		if err != nil {
			where, what = "no GPU", err.Error()
			if code == contract.ExitOK {
				code = contract.ExitSoftware
			}
		}
		fmt.Fprintf(r.out, "%-8s%-8s%s\n", a.name, where, what)
	}
	if r.software {
		return contract.ExitOK
	}
	return code
}

// run starts the program if it may run, and returns gpu-run's exit code.
func (r *runner) run(command []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := r.misses(); err != nil && !r.software {
		r.say("refused: %v", err)
		return contract.ExitGPU
	}
	env := onGPU(r.environ, r.hasNVIDIA())
	type proof struct {
		who renderer
		err error
	}
	proved := make(chan proof, 1)
	go func() {
		who, err := r.prove(ctx, r.api, env)
		proved <- proof{who, err}
	}()
	var before proof
	select {
	case s := <-r.signals: // there is no program yet that could save anything
		return exitSignal + int(s.(syscall.Signal))
	case before = <-proved:
	}
	if before.err != nil && !r.software {
		r.say(refused, filepath.Base(command[0]), before.err)
		return contract.ExitSoftware
	}
	g := game{runner: r, before: before.who}
	if before.err != nil {
		env, g.allowed = inSoftware(r.environ), true
		r.say(bySoftware, r.api.words, before.err)
	}
	return g.run(command, env)
}
