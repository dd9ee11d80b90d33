package launch

import "time"

// WithAnswerLimit sets the longest that a session may take to answer: to tests on a busy
// machine, ten seconds may be too short.
func WithAnswerLimit(limit time.Duration) Option {
	return func(l *Launcher) { l.answerLimit = limit }
}
