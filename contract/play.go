package contract

import "time"

// PlayPath is a path of the session's public port that returns a Play to a signed-in
// player, once the game runs.
const PlayPath = "/play"

// Play is how a program plays a session's game, to measure the session as if a person
// played it.
type Play struct {
	Width  int `json:"width"` // of the game's picture, pixels
	Height int `json:"height"`
	Script
}

// Script is the part of a game's manifest with the keys and the movements of the mouse
// that play the game.
type Script struct {
	Start  []Step `json:"start,omitempty"` // once: from the game's first picture through its menus
	Repeat []Step `json:"repeat"`          // again and again
}

// MaxSteps is the most steps of a Script's Start, and of its Repeat.
const MaxSteps = 100

// Step is one action of a player. It has exactly one of its fields.
type Step struct {
	Key   string  `json:"key,omitempty"` // a key's code, pressed for a moment
	Hold  *Hold   `json:"hold,omitempty"`
	Move  *Point  `json:"move,omitempty"`  // of the pointer
	Click *Point  `json:"click,omitempty"` // of the left button
	Wait  Seconds `json:"wait,omitempty"`
}

// Hold presses the key with a code for a time.
type Hold struct {
	Key     string  `json:"key"`
	Seconds Seconds `json:"seconds"`
}

// Point is a point of the game's picture: x from its left side and y from its top, as
// parts of its width and height, from 0 to 1.
type Point [2]float64

// Seconds is the time of a step, from MinStep to MaxStep.
type Seconds float64

// The limits of Seconds.
const (
	MinStep Seconds = 0.1
	MaxStep Seconds = 60
)

// Duration returns the time.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// DefaultScript plays a game whose manifest has no script: the mouse moves around the
// middle. It presses nothing, which could end the game.
var DefaultScript = Script{Repeat: []Step{
	{Move: &Point{0.3, 0.5}}, {Wait: 0.5}, {Move: &Point{0.5, 0.3}}, {Wait: 0.5},
	{Move: &Point{0.7, 0.5}}, {Wait: 0.5}, {Move: &Point{0.5, 0.7}}, {Wait: 0.5},
}}
