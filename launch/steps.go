package launch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// The steps of a start, in order.
const (
	StepQueue   = "queue"   // others are before it, or AWS Batch can't place it
	StepHost    = "host"    // it is the next, and a host starts
	StepImage   = "image"   // a host has it and pulls the image
	StepSession = "session" // its container runs
	StepReady   = "ready"   // it says that it is ready
)

// Step is a part of a start.
type Step struct {
	Name    string        `json:"step"`    // StepQueue to StepReady
	Words   string        `json:"words"`   // the newest ones
	At      time.Duration `json:"-"`       // of its beginning, since Start was called
	Seconds float64       `json:"seconds"` // that it took, or has taken so far
}

// step notes the session's step and reports progress if it is another, or has other
// words. A session that lost its host comes to a step again.
func (s *start) step(name, words string) {
	s.waits = words
	at := time.Since(s.began)
	if n := len(s.steps); n > 0 && s.steps[n-1].Name == name {
		if s.steps[n-1].Words == words {
			return
		}
		s.steps[n-1].Words = words
		s.report(Step{Name: name, Words: words, At: at, Seconds: (at - s.steps[n-1].At).Seconds()})
		return
	}
	s.steps = append(s.steps, Step{Name: name, Words: words, At: at})
	s.report(Step{Name: name, Words: words, At: at})
}

func (s *start) report(step Step) {
	if s.progress != nil {
		s.progress(step)
	}
}

// timed returns the steps with the time that each took.
func (s *start) timed() []Step {
	end := time.Since(s.began)
	steps := slices.Clone(s.steps)
	for i, step := range slices.Backward(steps) {
		steps[i].Seconds = (end - step.At).Seconds()
		end = step.At
	}
	return steps
}

// Took returns the time of each step of a Start: "host 2.1 s, image 0.6 s".
func (s Session) Took() string {
	var parts []string
	for _, step := range s.Steps {
		if step.Name != StepReady {
			parts = append(parts, fmt.Sprintf("%s %.1f s", step.Name, step.Seconds))
		}
	}
	return strings.Join(parts, ", ")
}

// stateTexts are the states of a session in which its player waits.
var stateTexts = map[contract.State]string{
	contract.StateUser:    "creating the player's account",
	contract.StateDisplay: "starting the X server",
	contract.StateSession: "starting the remote display and the sound",
	contract.StateGame:    "starting the game",
	contract.StateEnding:  "the session is ending",
}

// currentStep returns the step of a session that is not ready, in words too.
func currentStep(j job, now queueState, log sessionLog) (step, text string) {
	switch j.Status {
	case types.JobStatusRunning:
		if log.ended != nil {
			log.state = contract.StateEnding
		}
		return StepSession, cmp.Or(stateTexts[log.state], "the session starts")
	case types.JobStatusStarting:
		return StepImage, "the host pulls the image"
	}
	step, text = queueStep(j, now)
	if last := j.lastAttempt(); last != nil {
		text = attemptReason(last) + "; another attempt: " + text
	}
	return step, text
}

// queueStep returns the step of a session without a host. If AWS Batch gives no reason
// for the session at the queue's head, it starts a host, which takes minutes.
func queueStep(j job, now queueState) (step, text string) {
	before, counted := now.before[j.id()]
	reason := aws.ToString(j.StatusReason)
	switch {
	case phraseFor(blockedReasons, reason) != "":
		return StepQueue, phraseFor(blockedReasons, reason)
	case j.Status == types.JobStatusRunnable && reason != "" && j.lastAttempt() == nil:
		return StepQueue, reason
	case before > 0:
		return StepQueue, fmt.Sprintf("in the queue: %d before you", before)
	case counted && now.full:
		return StepQueue, "in the queue, the next: every host is taken, it starts when a session ends"
	case counted:
		return StepHost, "waiting for a host to start"
	}
	return StepQueue, "in the queue"
}
