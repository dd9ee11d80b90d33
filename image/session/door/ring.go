package door

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// ringSize bounds each ring: a player needs one or two.
const ringSize = 64

// ring holds random secrets that the door gave out, each with what it stands for.
// Of the secrets it keeps the hashes only. The oldest gives way to the newest
// where there are too many. The zero value is empty.
type ring[T any] struct {
	held    []held[T]
	dropped func(T) // told of what is no longer held; may be nil
}

type held[T any] struct {
	hash  [sha256.Size]byte
	value T
}

// mint makes a secret of 256 random bits, in hexadecimal digits.
func (r *ring[T]) mint(value T) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	secret := hex.EncodeToString(b[:])
	r.held = append(r.held, held[T]{sha256.Sum256([]byte(secret)), value})
	if len(r.held) > ringSize {
		r.dropAt(0)
	}
	return secret
}

// find takes the same time for every secret.
func (r *ring[T]) find(secret string) (value T, ok bool) {
	if at := r.index(secret); at >= 0 {
		return r.held[at].value, true
	}
	return value, false
}

func (r *ring[T]) drop(secret string) {
	if at := r.index(secret); at >= 0 {
		r.dropAt(at)
	}
}

func (r *ring[T]) index(secret string) int {
	hash, at := sha256.Sum256([]byte(secret)), -1
	for i := range r.held {
		if subtle.ConstantTimeCompare(hash[:], r.held[i].hash[:]) == 1 {
			at = i
		}
	}
	return at
}

func (r *ring[T]) dropAt(at int) {
	value := r.held[at].value
	r.held = append(r.held[:at], r.held[at+1:]...)
	if r.dropped != nil {
		r.dropped(value)
	}
}
