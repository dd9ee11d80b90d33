package batch

// rooms finds the first of an environment's hosts, in the order in which they were
// started, that has room for a job, without looking at each.
type rooms struct {
	hosts []*host // by place; nil: it has left
	free  tree    // the room on running hosts, beside their tasks
	spare tree    // the room on all hosts, beside their tasks and the jobs that are planned on them
}

// add gives a host the last place.
func (r *rooms) add(h *host) {
	if len(r.hosts) == r.free.places() {
		r.arrange()
	}
	h.place = len(r.hosts)
	r.hosts = append(r.hosts, h)
	r.note(h)
}

// arrange gives the hosts places without gaps in trees that have room for as many more.
func (r *rooms) arrange() {
	stay := r.hosts[:0]
	for _, h := range r.hosts {
		if h != nil {
			stay = append(stay, h)
		}
	}
	clear(r.hosts[len(stay):])
	places := 1
	for places < 2*len(stay) {
		places *= 2
	}
	r.hosts, r.free, r.spare = stay, newTree(places), newTree(places)
	for i, h := range stay {
		h.place = i
		r.note(h)
	}
}

// note takes down how much room a host has.
func (r *rooms) note(h *host) {
	var free Resources
	if h.running {
		free = h.free
	}
	r.free.set(h.place, free)
	r.spare.set(h.place, h.spare)
}

func (r *rooms) remove(h *host) {
	r.hosts[h.place] = nil
	r.free.set(h.place, Resources{})
	r.spare.set(h.place, Resources{})
}

// running returns the first running host with room, and waiting the first with room
// for a job that waits; nil if there is none.
func (r *rooms) running(need Resources) *host { return r.at(r.free.first(1, need)) }
func (r *rooms) waiting(need Resources) *host { return r.at(r.spare.first(1, need)) }

func (r *rooms) at(place int) *host {
	if place < 0 {
		return nil
	}
	return r.hosts[place]
}

// tree is a binary tree over places, as in a heap: the node i is above 2i and 2i+1, and
// has the most of each resource that is below it. The places are its second half.
type tree []Resources

func newTree(places int) tree { return make(tree, 2*places) }

func (t tree) places() int { return len(t) / 2 }

func (t tree) set(place int, r Resources) {
	i := t.places() + place
	for t[i] = r; i > 1; {
		i /= 2
		most := t[2*i].orMore(t[2*i+1])
		if t[i] == most {
			return
		}
		t[i] = most
	}
}

// first returns the first place below a node that has enough of each resource, or -1.
func (t tree) first(node int, need Resources) int {
	switch {
	case node >= len(t) || !need.fitsIn(t[node]):
		return -1
	case node >= t.places():
		return node - t.places()
	}
	if place := t.first(2*node, need); place >= 0 {
		return place
	}
	return t.first(2*node+1, need)
}
