package local

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// Ports are the sandbox's loopback ports. They are chosen once for a work tree and
// kept, since the stack's configuration names them and must not change by itself.
type Ports struct {
	Gateway  int `json:"gateway"`  // the one AWS endpoint
	Registry int `json:"registry"` // behind ECR's addresses
}

// loadPorts returns the work tree's ports and chooses free ones the first time.
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

// FreePort returns a loopback port on which nothing listens.
func FreePort() (int, error) { return freePort(randomPort, nil) }

func randomPort() int { return 20000 + rand.IntN(10000) }

// freePort returns a port on which nothing listens, below the range from which the
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
