package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Prefixes of the files that a program has mapped, by file name or, for devices,
// path. Vulkan's loader maps the drivers of all possible GPUs, so for Mesa only the
// device is a proof.
var (
	gpuFiles      = []string{"libGLX_nvidia.", "libEGL_nvidia.", "libnvidia-glcore.", "libnvidia-eglcore.", "/dev/dri/"}
	softwareFiles = []string{"swrast_dri.so", "kms_swrast_dri.so", "libvulkan_lvp."}
	// Since Mesa 24 one file holds all its drivers, for GPUs and without.
	mesaFiles = []string{"libgallium-"}
)

// verdict is the conclusion from the files that a program has mapped.
type verdict struct {
	file string // the proof; "": none yet
	cpu  bool
}

// judge looks for a driver. before is the renderer by the API's own tool.
func judge(mapped []string, before renderer) verdict {
	if file := match(mapped, gpuFiles); file != "" {
		return verdict{file: file}
	}
	if file := match(mapped, softwareFiles); file != "" {
		return verdict{file, true}
	}
	if file := match(mapped, mesaFiles); file != "" {
		return verdict{file, before.nvidia() || before.software()}
	}
	return verdict{}
}

func match(mapped, beginnings []string) string {
	for _, path := range mapped {
		for _, beginning := range beginnings {
			if name := filepath.Base(path); strings.HasPrefix(name, beginning) {
				return name
			} else if strings.HasPrefix(path, beginning) {
				return path
			}
		}
	}
	return ""
}

// mapped returns the files that a program and its descendants have mapped, sorted.
// A process that has just ended has none.
func mapped(leader int) []string {
	var files []string
	for _, pid := range tree(leader) {
		text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "maps"))
		for line := range bytes.Lines(text) {
			// man 5 proc: address perms offset dev inode pathname
			if i := bytes.IndexByte(line, '/'); i >= 0 {
				files = append(files, string(bytes.TrimSpace(line[i:])))
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// tree is a process group's leader with its descendants and its group: a program
// may start another and leave it alone.
func tree(leader int) []int {
	type process struct{ pid, parent, group int }
	var all []process
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range found {
		b, _ := os.ReadFile(file)
		// man 5 proc: pid (comm) state ppid pgrp …; comm may hold anything
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		group, _ := strconv.Atoi(fields[2])
		all = append(all, process{pid, parent, group})
	}
	in := []int{leader}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !slices.Contains(in, p.pid) && (p.group == leader || slices.Contains(in, p.parent)) {
				in, grown = append(in, p.pid), true
			}
		}
	}
	return in
}
