// Package xmodules has a host's part in giving containers the X modules of NVIDIA's
// driver.
package xmodules

import _ "embed"

// HostScript is a part of a bash script for a host's start, as root and before any
// container starts. It does no harm to a host that needs nothing of it. Tests set
// HOST_ROOT to a folder that stands for the root of the host's file system.
//
// The sources: nvidia-driver.spec of github.com/NVIDIA/yum-packaging-nvidia-driver,
// and internal/discover/graphics.go and internal/lookup/root/root.go of
// github.com/NVIDIA/nvidia-container-toolkit.
//
//go:embed host.sh
var HostScript string
