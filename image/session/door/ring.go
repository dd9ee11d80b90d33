package door

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// ringSize is the most secrets in a ring: a player needs one or two.
const ringSize = 64

// secretRing maps random secrets that the door has issued to values. It keeps only the
// hashes of the secrets. If there are too many, the oldest is dropped. The zero value is
// empty.
type secretRing[T any] struct {
	held    []heldSecret[T]
	dropped func(T) // called with each value that is dropped; may be nil
}

type heldSecret[T any] struct {
	hash  [sha256.Size]byte
	value T
}

// mint returns a new secret for a value: 256 random bits, in hexadecimal digits.
func (r *secretRing[T]) mint(value T) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	secret := hex.EncodeToString(b[:])
	r.held = append(r.held, heldSecret[T]{sha256.Sum256([]byte(secret)), value})
	if len(r.held) > ringSize {
		r.dropAt(0)
	}
	return secret
}

// find returns the value of a secret. It takes the same time for every secret.
func (r *secretRing[T]) find(secret string) (value T, ok bool) {
	if at := r.index(secret); at >= 0 {
		return r.held[at].value, true
	}
	return value, false
}

func (r *secretRing[T]) drop(secret string) {
	if at := r.index(secret); at >= 0 {
		r.dropAt(at)
	}
}

func (r *secretRing[T]) index(secret string) int {
	hash, at := sha256.Sum256([]byte(secret)), -1
	for i := range r.held {
		if subtle.ConstantTimeCompare(hash[:], r.held[i].hash[:]) == 1 {
			at = i
		}
	}
	return at
}

func (r *secretRing[T]) dropAt(at int) {
	value := r.held[at].value
	r.held = append(r.held[:at], r.held[at+1:]...)
	if r.dropped != nil {
		r.dropped(value)
	}
}
