// Package agenda keeps things until they are due.
package agenda

import (
	"container/heap"
	"iter"
	"time"
)

// Agenda is a list of things with the times at which they are due. The zero value is
// empty. An entry that has become pointless stays until its time, and whoever takes it
// out has to notice that.
type Agenda[T any] struct {
	entries entries[T]
	added   int
}

// Add notes a thing.
func (a *Agenda[T]) Add(at time.Time, thing T) {
	a.added++
	heap.Push(&a.entries, entry[T]{at, a.added, thing})
}

// Due takes out the things that are due by now, one after the other: the earliest first,
// and those of the same time in the order of their addition.
func (a *Agenda[T]) Due(now time.Time) iter.Seq[T] {
	return func(yield func(T) bool) {
		for len(a.entries) > 0 && !a.entries[0].at.After(now) {
			if !yield(heap.Pop(&a.entries).(entry[T]).thing) {
				return
			}
		}
	}
}

// Next returns when the first thing is due; zero if there is none.
func (a *Agenda[T]) Next() time.Time {
	if len(a.entries) == 0 {
		return time.Time{}
	}
	return a.entries[0].at
}

type entry[T any] struct {
	at    time.Time
	turn  int // among those of the same time
	thing T
}

// entries implement heap.Interface.
type entries[T any] []entry[T]

func (e entries[T]) Len() int      { return len(e) }
func (e entries[T]) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e entries[T]) Less(i, j int) bool {
	if c := e[i].at.Compare(e[j].at); c != 0 {
		return c < 0
	}
	return e[i].turn < e[j].turn
}
func (e *entries[T]) Push(x any) { *e = append(*e, x.(entry[T])) }
func (e *entries[T]) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = entry[T]{} // so that nothing keeps it alive
	*e = old[:len(old)-1]
	return last
}
