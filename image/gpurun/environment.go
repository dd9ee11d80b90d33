package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The folders in which drivers describe themselves: NVIDIA's container toolkit
// mounts the host's files under the host's paths, and Mesa's packages have others.
var (
	nvidiaEGL    = []string{"/usr/share/glvnd/egl_vendor.d/10_nvidia.json", "/etc/glvnd/egl_vendor.d/10_nvidia.json"}
	nvidiaVulkan = []string{"/etc/vulkan/icd.d/nvidia_icd.json", "/usr/share/vulkan/icd.d/nvidia_icd.json", "/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json"}
	mesaEGL      = []string{"/usr/share/glvnd/egl_vendor.d/50_mesa.json"}
	lavapipe     = []string{"/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "/usr/share/vulkan/icd.d/lvp_icd.json"}
)

// chooses are the variables that choose a driver: of GLX and Mesa, of EGL by
// GLVND, of Vulkan's loader, in its old name and its new one.
var chooses = []string{
	"__NV_PRIME_RENDER_OFFLOAD", "__GLX_VENDOR_LIBRARY_NAME", "__VK_LAYER_NV_optimus",
	"LIBGL_ALWAYS_SOFTWARE", "GALLIUM_DRIVER", "LP_NUM_THREADS",
	"__EGL_VENDOR_LIBRARY_FILENAMES", "VK_ICD_FILENAMES", "VK_DRIVER_FILES",
}

// onGPU is the environment in which a program renders on the GPU. Only NVIDIA's
// driver has to be asked for by name; any other is the first choice anyway.
func onGPU(environ []string, nvidia bool) []string {
	if !nvidia {
		return without(environ)
	}
	env := append(without(environ), "__NV_PRIME_RENDER_OFFLOAD=1", "__GLX_VENDOR_LIBRARY_NAME=nvidia", "__VK_LAYER_NV_optimus=NVIDIA_only")
	return append(env, files(nvidiaEGL, nvidiaVulkan)...)
}

// inSoftware is the environment in which a program renders on the processor. One
// thread draws: the display server and the encoder need the others.
func inSoftware(environ []string) []string {
	env := append(without(environ), "LIBGL_ALWAYS_SOFTWARE=1", "GALLIUM_DRIVER=llvmpipe", "LP_NUM_THREADS=1", "__GLX_VENDOR_LIBRARY_NAME=mesa")
	return append(env, files(mesaEGL, lavapipe)...)
}

// files names the descriptions of the drivers that are there.
func files(egl, vulkan []string) []string {
	var env []string
	if path := first(egl); path != "" {
		env = append(env, "__EGL_VENDOR_LIBRARY_FILENAMES="+path)
	}
	if path := first(vulkan); path != "" {
		env = append(env, "VK_ICD_FILENAMES="+path, "VK_DRIVER_FILES="+path)
	}
	return env
}

func first(paths []string) string {
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// without returns a copy of the environment without the variables that choose a
// driver.
func without(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(chooses, name)
	})
}

// value is a variable's; the last one counts, as for a program that is started.
func value(environ []string, name string) string {
	for _, pair := range slices.Backward(environ) {
		if has, v, _ := strings.Cut(pair, "="); has == name {
			return v
		}
	}
	return ""
}

// searched is PATH if the environment has none.
const searched = "/usr/local/bin:/usr/bin:/bin:/usr/games"

// lookPath finds a program by the environment's PATH, as a shell does.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := value(env, "PATH")
	if path == "" {
		path = searched
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w in %s", name, os.ErrNotExist, path)
}
