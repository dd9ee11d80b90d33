// Package fault gives an error the exit code with which it ends the session.
package fault

import "errors"

type fault struct {
	code int
	err  error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// New returns err with an exit code of contract.ExitCodes.
func New(code int, err error) error { return &fault{code, err} }

// Code returns the exit code of err, or of an error that it wraps, and reports
// whether there is one.
func Code(err error) (code int, ok bool) {
	var f *fault
	if !errors.As(err, &f) {
		return 0, false
	}
	return f.code, true
}
