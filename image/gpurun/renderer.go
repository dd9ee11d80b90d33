package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// api is a graphics API, with the tool that prints its renderer.
type api struct {
	name, words string
	tool        []string
	parse       func(text string, display bool) renderer
}

// apis: the tools are of the Debian packages mesa-utils and vulkan-tools.
// eglinfo takes no options before mesa-utils 9, and then ignores them.
var apis = []api{
	{"opengl", "OpenGL", []string{"glxinfo", "-B"}, parseGLX},
	{"egl", "EGL", []string{"eglinfo", "-B"}, parseEGL},
	{"vulkan", "Vulkan", []string{"vulkaninfo", "--summary"}, parseVulkan},
}

// find gives the API of a name, all of them for none.
func find(name string) ([]api, bool) {
	if name == "" {
		return apis, true
	}
	i := slices.IndexFunc(apis, func(a api) bool { return a.name == name })
	if i < 0 {
		return nil, false
	}
	return apis[i : i+1], true
}

func names() []string {
	var list []string
	for _, a := range apis {
		list = append(list, a.name)
	}
	return list
}

// renderer is the device, or the software, that draws.
type renderer struct {
	vendor, name string
	cpu          bool // it says so itself
}

func (r renderer) String() string {
	if r.vendor == "" || strings.HasPrefix(strings.ToLower(r.name), strings.ToLower(r.vendor)) {
		return r.name
	}
	return strings.TrimSpace(r.vendor + " " + r.name)
}

// drawnByCPU are parts of the names, in lower case, of software renderers. Any
// other renderer is a GPU, of any maker. Mesa's software renderer had the vendor
// "Mesa/X.org", and EGL before mesa-utils 9 prints only "swrast".
var drawnByCPU = []string{"llvmpipe", "softpipe", "swrast", "lavapipe", "swiftshader", "software rasterizer", "mesa/x.org"}

func (r renderer) software() bool {
	said := strings.ToLower(r.vendor + " " + r.name)
	return r.cpu || slices.ContainsFunc(drawnByCPU, func(part string) bool { return strings.Contains(said, part) })
}

func (r renderer) nvidia() bool { return strings.Contains(r.vendor+" "+r.name, "NVIDIA") }

// askLimit is how long a tool may take: a first call may wake the GPU up.
const askLimit = 15 * time.Second

// ask runs the API's tool in the program's own environment.
func (a api) ask(ctx context.Context, env []string) (renderer, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	path, err := lookPath(a.tool[0], env)
	if err != nil {
		return renderer{}, err
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, a.tool[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = env, &out, &errs, time.Second
	err = cmd.Run()
	// eglinfo fails if one of many platforms does.
	if found := a.parse(out.String(), value(env, "DISPLAY") != ""); found.name != "" {
		return found, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not answer within %s", askLimit)
	}
	if err == nil {
		err = errors.New("it names no renderer")
	}
	return renderer{}, fmt.Errorf("%s: %w: %s", a.tool[0], err, lastLine(errs.String(), out.String()))
}

// lastLine is the last one of the first text that has any.
func lastLine(texts ...string) string {
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			return text[strings.LastIndexByte(text, '\n')+1:]
		}
	}
	return "it says nothing"
}

// parseGLX reads glxinfo -B: "OpenGL renderer string: llvmpipe (LLVM 15.0.6)".
func parseGLX(text string, _ bool) renderer {
	var r renderer
	for line := range strings.Lines(text) {
		switch key, rest := pair(line, ":"); key {
		case "OpenGL vendor string":
			r.vendor = rest
		case "OpenGL renderer string":
			r.name = rest
		case "Accelerated":
			r.cpu = rest == "no"
		}
	}
	return r
}

// parseEGL reads eglinfo, which has a section for each platform.
// On a display the X11 platform counts, else the first that has a renderer.
// Before mesa-utils 9 there is no renderer, but Mesa's driver; NVIDIA has none.
func parseEGL(text string, display bool) renderer {
	var found renderer
	var r *renderer
	for line := range strings.Lines(text) {
		key, rest := pair(line, ":")
		switch {
		case !strings.HasPrefix(line, " ") && rest == "" && (strings.HasSuffix(key, "platform") || key == "Default display" || strings.HasPrefix(key, "Platform ")):
			r = nil
			if found == (renderer{}) && (!display || key == "X11 platform" || key == "Default display") {
				r = &found
			}
		case r == nil || rest == "":
		case key == "EGL vendor string":
			r.vendor, r.name = rest, rest
		case key == "EGL driver name":
			r.name = rest
		case strings.HasPrefix(key, "OpenGL") && strings.HasSuffix(key, "profile renderer"):
			r.name = rest
		case strings.HasPrefix(key, "OpenGL") && strings.HasSuffix(key, "profile vendor"):
			r.vendor = rest
		}
	}
	return found
}

// parseVulkan reads vulkaninfo --summary. Of several devices a GPU is taken: a
// program chooses among them, and can choose a GPU only if there is one.
func parseVulkan(text string, _ bool) renderer {
	var devices []renderer
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "GPU") {
			devices = append(devices, renderer{})
		}
		if len(devices) == 0 {
			continue
		}
		r := &devices[len(devices)-1]
		switch key, rest := pair(line, "="); key {
		case "deviceName":
			r.name = rest
		case "driverName":
			r.vendor = rest
		case "deviceType":
			r.cpu = rest == "PHYSICAL_DEVICE_TYPE_CPU"
		}
	}
	for _, r := range devices {
		if r.name != "" && !r.software() {
			return r
		}
	}
	if len(devices) == 0 {
		return renderer{}
	}
	return devices[0]
}

func pair(line, separator string) (key, value string) {
	key, value, _ = strings.Cut(line, separator)
	return strings.TrimSpace(key), strings.TrimSpace(value)
}
