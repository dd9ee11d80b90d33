package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Step is a part of a start.
type Step struct {
	Name  string `json:"step"`  // StepQueue to StepReady
	Words string `json:"words"` // the newest ones
	// At is when it began, and Seconds how long it took, or takes so far.
	At      time.Duration `json:"-"` // since Start was called
	Seconds float64       `json:"seconds"`
}

// step notes where the session is, and tells where that is news. A session whose
// host went away comes to a step again.
func (s *start) step(name, words string) {
	s.waits = words
	at := time.Since(s.began)
	if n := len(s.steps); n > 0 && s.steps[n-1].Name == name {
		if s.steps[n-1].Words == words {
			return
		}
		s.steps[n-1].Words = words
		s.tell(Step{Name: name, Words: words, At: at, Seconds: (at - s.steps[n-1].At).Seconds()})
		return
	}
	s.steps = append(s.steps, Step{Name: name, Words: words, At: at})
	s.tell(Step{Name: name, Words: words, At: at})
}

func (s *start) tell(step Step) {
	if s.progress != nil {
		s.progress(step)
	}
}

// timed are the steps with the time that each took.
func (s *start) timed() []Step {
	end := time.Since(s.began)
	steps := slices.Clone(s.steps)
	for i, step := range slices.Backward(steps) {
		steps[i].Seconds = (end - step.At).Seconds()
		end = step.At
	}
	return steps
}

// Took is how long each step of a Start was, in words: "host 2.1 s, image 0.6 s".
func (s Session) Took() string {
	var parts []string
	for _, step := range s.Steps {
		if step.Name != StepReady {
			parts = append(parts, fmt.Sprintf("%s %.1f s", step.Name, step.Seconds))
		}
	}
	return strings.Join(parts, ", ")
}

// wait looks again and again until the session is ready, or over.
func (s *start) wait(ctx context.Context) error {
	for {
		if ready, err := s.judge(ctx); ready || err != nil {
			return err
		}
		if err := pause(ctx, s.poll); err != nil {
			return err
		}
		if err := s.renew(ctx); err != nil {
			return err
		}
	}
}

// renew looks at the user's sessions anew. Lists may lag behind, so an older
// session may come to light late, and then it stays.
func (s *start) renew(ctx context.Context) error {
	live, err := s.live(ctx, s.user)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(live, func(j job) bool { return j.id() == s.followed.id() }) {
		j, err := s.again(ctx, s.followed.id())
		if err != nil {
			return err
		}
		if !j.told() {
			return nil // without the time of its submission it can't be compared with others
		}
		s.followed = j
		if j.ended() {
			return nil
		}
		live = append(live, j)
		slices.SortFunc(live, older)
	}
	return s.contest(ctx, live)
}

// judge tells whether the session is ready, and fails where it is over.
func (s *start) judge(ctx context.Context) (ready bool, err error) {
	j := s.followed
	if stream := j.stream(); stream != s.log.stream {
		s.log = sessionLog{logCursor: logCursor{stream: stream}}
	}
	if err := s.update(ctx, &s.log); err != nil {
		return false, err
	}
	s.seen = plain(j)
	if j.ended() {
		s.seen.Reason = ending(j, s.log.ended)
		return false, s.failure(j)
	}
	if s.log.ready != nil && s.log.ended == nil {
		s.seen.URL, s.seen.Certificate = s.log.ready.URL, s.log.ready.Certificate
		s.step(StepReady, "the session is ready")
		return true, nil
	}
	now, err := s.lineFor(ctx, j)
	if err != nil {
		return false, err
	}
	name, text := waiting(j, now, s.log)
	s.seen.Wait = text
	s.step(name, text)
	return false, nil
}

func (s *start) failure(j job) error {
	failed := &Failed{User: s.user, JobID: j.id(), Words: s.seen.Reason, Status: aws.ToString(j.StatusReason)}
	if j.Container != nil {
		failed.Container = aws.ToString(j.Container.Reason)
	}
	return failed
}
