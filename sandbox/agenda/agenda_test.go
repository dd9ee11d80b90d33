package agenda_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/sandbox/agenda"
)

func TestWhatIsDueComesInTheOrderOfTimeAndThenOfAddition(t *testing.T) {
	var a agenda.Agenda[string]
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	assert.True(t, a.Next().IsZero())
	for _, e := range []struct {
		second int64
		thing  string
	}{{3, "d"}, {1, "a"}, {2, "b"}, {2, "c"}, {9, "e"}} {
		a.Add(at(e.second), e.thing)
	}
	assert.Equal(t, at(1), a.Next())
	assert.Empty(t, slices.Collect(a.Due(at(0))))
	for thing := range a.Due(at(3)) {
		assert.Equal(t, "a", thing)
		break // takes only this one out
	}
	assert.Equal(t, []string{"b", "c", "d"}, slices.Collect(a.Due(at(3))))
	assert.Equal(t, at(9), a.Next())
}

func TestWhatIsAddedWhileThingsAreTakenOutIsDueToo(t *testing.T) {
	var a agenda.Agenda[int]
	a.Add(time.Unix(1, 0), 0)
	var taken []int
	for n := range a.Due(time.Unix(5, 0)) {
		taken = append(taken, n)
		a.Add(time.Unix(int64(2+n), 0), n+1)
	}
	assert.Equal(t, []int{0, 1, 2, 3, 4}, taken)
	assert.Equal(t, time.Unix(6, 0), a.Next())
}
