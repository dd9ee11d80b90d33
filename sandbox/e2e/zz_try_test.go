package e2e

import "testing"

func TestTryDeliver(t *testing.T) {
	s := newSandbox(t)
	s.downAtEnd(t)
	base := s.committed(t)
	r := s.deploy(t, "up", base)
	s.deliver(t, base, stackOutputs(t, r.Outputs))
}
