package local

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// Ports are the sandbox's loopback ports, chosen once a work tree and kept:
// they stand in the stack's configuration, which must not change by itself.
type Ports struct {
	Gateway  int `json:"gateway"`  // the one AWS endpoint
	Registry int `json:"registry"` // behind ECR's addresses
}

// loadPorts reads the work tree's ports or chooses free ones.
func loadPorts(t Tree) (Ports, error) {
	file := t.path("ports.json")
	var ports Ports
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, &ports); err != nil {
			return ports, fmt.Errorf("%s: %w", file, err)
		}
		return ports, nil
	}
	taken := map[int]bool{}
	for _, p := range []*int{&ports.Gateway, &ports.Registry} {
		port, err := freePort(randomPort, taken)
		if err != nil {
			return ports, err
		}
		*p, taken[port] = port, true
	}
	return ports, writeJSON(file, ports)
}

// FreePort returns a loopback port that nobody listens on.
func FreePort() (int, error) { return freePort(randomPort, nil) }

func randomPort() int { return 20000 + rand.IntN(10000) }

// freePort finds a port that nobody listens on, below the range from which the
// kernel takes the ports of outgoing connections.
func freePort(try func() int, taken map[int]bool) (int, error) {
	for range 200 {
		port := try()
		if taken[port] {
			continue
		}
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port on loopback")
}
