package batch

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheFirstHostWithRoomIsFoundAsByLookingAtEach compares with the simple search, while
// hosts come, change and leave.
func TestTheFirstHostWithRoomIsFoundAsByLookingAtEach(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	some := func() Resources { return Resources{random.IntN(9), random.IntN(9), random.IntN(3)} }
	var r rooms
	var hosts []*host
	first := func(need Resources, room func(*host) Resources) *host {
		i := slices.IndexFunc(hosts, func(h *host) bool { return need.fitsIn(room(h)) })
		if i < 0 {
			return nil
		}
		return hosts[i]
	}
	for range 20_000 {
		switch at := random.IntN(4); {
		case at == 0 || len(hosts) == 0:
			h := &host{number: len(hosts), running: random.IntN(2) == 0, free: some(), spare: some()}
			r.add(h)
			hosts = append(hosts, h)
		case at == 1 && len(hosts) > random.IntN(200):
			i := random.IntN(len(hosts))
			r.remove(hosts[i])
			hosts = slices.Delete(hosts, i, i+1)
		default:
			h := hosts[random.IntN(len(hosts))]
			h.running, h.free, h.spare = random.IntN(2) == 0, some(), some()
			r.note(h)
		}
		need := some()
		need.VCPUs++ // a job needs at least one
		require.Same(t, first(need, func(h *host) Resources {
			if !h.running {
				return Resources{}
			}
			return h.free
		}), r.running(need))
		require.Same(t, first(need, func(h *host) Resources { return h.spare }), r.waiting(need))
	}
}
