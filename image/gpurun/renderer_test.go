package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryToolsOutputTellsWhoDraws(t *testing.T) {
	for file, want := range map[string]struct {
		api      string
		who      renderer
		said     string
		software bool
	}{
		"glxinfo-llvmpipe.txt":    {"opengl", renderer{"Mesa/X.org", "llvmpipe (LLVM 15.0.6, 256 bits)", true}, "Mesa/X.org llvmpipe (LLVM 15.0.6, 256 bits)", true},
		"glxinfo-nvidia.txt":      {"opengl", renderer{"NVIDIA Corporation", "Tesla T4/PCIe/SSE2", false}, "NVIDIA Corporation Tesla T4/PCIe/SSE2", false},
		"eglinfo-llvmpipe.txt":    {"egl", renderer{"Mesa Project", "swrast", false}, "Mesa Project swrast", true},
		"eglinfo-nvidia.txt":      {"egl", renderer{"NVIDIA", "NVIDIA", false}, "NVIDIA", false},
		"eglinfo9-nvidia.txt":     {"egl", renderer{"NVIDIA Corporation", "NVIDIA A10G/PCIe/SSE2", false}, "NVIDIA Corporation NVIDIA A10G/PCIe/SSE2", false},
		"eglinfo9-llvmpipe.txt":   {"egl", renderer{"Mesa", "llvmpipe (LLVM 19.1.1, 256 bits)", false}, "Mesa llvmpipe (LLVM 19.1.1, 256 bits)", true},
		"vulkaninfo-llvmpipe.txt": {"vulkan", renderer{"llvmpipe", "llvmpipe (LLVM 15.0.6, 256 bits)", true}, "llvmpipe (LLVM 15.0.6, 256 bits)", true},
		"vulkaninfo-nvidia.txt":   {"vulkan", renderer{"NVIDIA", "NVIDIA A10G", false}, "NVIDIA A10G", false},
	} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", file))
			require.NoError(t, err)
			chosen, known := find(want.api)
			require.True(t, known)
			who := chosen[0].parse(string(text), true)
			assert.Equal(t, want.who, who)
			assert.Equal(t, want.said, who.String())
			assert.Equal(t, want.software, who.software())
		})
	}
}

func TestEGLWithoutADisplayIsThatOfAnyPlatform(t *testing.T) {
	text, err := os.ReadFile("testdata/eglinfo9-llvmpipe.txt")
	require.NoError(t, err)
	assert.True(t, parseEGL(string(text), false).software(), "the first platform that works")
	const failed = "X11 platform:\neglinfo: eglInitialize failed\n\nSurfaceless platform:\nEGL vendor string: NVIDIA\n"
	assert.Equal(t, renderer{}, parseEGL(failed, true), "a program on a display can't take the surfaceless one")
	assert.Equal(t, renderer{vendor: "NVIDIA", name: "NVIDIA"}, parseEGL(failed, false))
}

func TestOfSeveralVulkanDevicesTheGPUCounts(t *testing.T) {
	cpu, err := os.ReadFile("testdata/vulkaninfo-llvmpipe.txt")
	require.NoError(t, err)
	both := string(cpu) + "GPU1:\n\tdeviceType = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU\n\tdeviceName = AMD Radeon Pro V520\n\tdriverName = radv\n"
	assert.Equal(t, renderer{vendor: "radv", name: "AMD Radeon Pro V520"}, parseVulkan(both, true))
	assert.Equal(t, renderer{}, parseVulkan("Cannot create Vulkan instance.\n", true))
}

func TestWhatAProgramHasMappedTellsWhereItIsRendered(t *testing.T) {
	nvidia, amd := renderer{vendor: "NVIDIA Corporation", name: "Tesla T4/PCIe/SSE2"}, renderer{vendor: "AMD", name: "AMD Radeon Pro V520"}
	for name, test := range map[string]struct {
		mapped []string
		before renderer
		want   verdict
	}{
		"nothing yet":                             {[]string{"/usr/lib/libc.so.6", "/usr/lib/libGLX.so.0.0.0"}, nvidia, verdict{}},
		"NVIDIA":                                  {[]string{"/usr/lib/libGLX_nvidia.so.580.159.03"}, nvidia, verdict{file: "libGLX_nvidia.so.580.159.03"}},
		"NVIDIA beside Mesa":                      {[]string{"/usr/lib/dri/swrast_dri.so", "/usr/lib/libEGL_nvidia.so.0"}, nvidia, verdict{file: "libEGL_nvidia.so.0"}},
		"Mesa's software":                         {[]string{"/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so"}, nvidia, verdict{"swrast_dri.so", true}},
		"lavapipe":                                {[]string{"/usr/lib/libvulkan_lvp.so"}, nvidia, verdict{"libvulkan_lvp.so", true}},
		"Mesa since 24, where NVIDIA was proved":  {[]string{"/usr/lib/libgallium-24.2.8.so"}, nvidia, verdict{"libgallium-24.2.8.so", true}},
		"Mesa since 24, where a GPU was proved":   {[]string{"/usr/lib/libgallium-24.2.8.so"}, amd, verdict{"libgallium-24.2.8.so", false}},
		"Mesa's device":                           {[]string{"/dev/dri/renderD128", "/usr/lib/libvulkan_lvp.so"}, amd, verdict{file: "/dev/dri/renderD128"}},
		"a driver that Vulkan's loader maps, too": {[]string{"/usr/lib/libvulkan_lvp.so", "/usr/lib/libvulkan_radeon.so"}, nvidia, verdict{"libvulkan_lvp.so", true}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, judge(test.mapped, test.before)) })
	}
}
