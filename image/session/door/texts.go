package door

import (
	"fmt"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// This file has every text that a player reads and that depends on the session; the
// others are in pages/shell.html and pages/shell.js.

// stateText is the text of a state. A step of the start has a title too, and its
// other text is a part of a sentence.
type stateText struct{ title, now string }

var stateTexts = map[contract.State]stateText{
	contract.StateUser:    {"Your account", "your account is being made"},
	contract.StateDisplay: {"The screen", "the screen is starting"},
	contract.StateSession: {"Picture and sound", "picture and sound are starting"},
	contract.StateGame:    {"The game", "the game is starting"},
	contract.StateReady:   {now: "Your game is ready."},
	contract.StatePlaying: {now: "Your game is ready."},
	contract.StateAway:    {now: "Your game is ready."},
	contract.StateEnding:  {now: "The session is ending."},
}

// stepText returns the text of the step n of a start, counted from 1.
func stepText(n int, state contract.State) string {
	return fmt.Sprintf("Step %d of %d: %s.", n, len(contract.Steps), stateTexts[state].now)
}

var warningTexts = map[status.Warning]string{
	status.WarningLongest: "The longest time for a session is nearly over: save your game.",
	status.WarningIdle:    "Are you still there? Press a key or move the mouse to go on.",
	status.WarningEnding:  "The session ends now. Your game is being saved.",
}

// endText is a heading and a text for the player.
type endText struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

const (
	overTitle  = "The session is over"
	faultTitle = "The session can’t go on"
	retryText  = "The machine that it ran on failed. Start it again where you started it: another machine will take over."
	fixText    = "Starting it again will not help until your studio has fixed it."
)

// exitTexts has a text for each of contract.ExitCodes.
var exitTexts = map[int]endText{
	contract.ExitOK:            {overTitle, "Thank you for playing."},
	contract.ExitConfiguration: {faultTitle, "It is not set up as it should be. " + fixText},
	contract.ExitImage:         {faultTitle, "The game is not installed as it should be. " + fixText},
	contract.ExitGame:          {faultTitle, "The game stopped and could not go on. You may start a new session."},
	contract.ExitSoftware:      {faultTitle, "The graphics hardware could not be used, and without it the game would be too slow. " + fixText},
	contract.ExitDisplay:       {faultTitle, "The picture of the game could not be shown. You may start a new session."},
	contract.ExitInternal:      {faultTitle, "Something went wrong that should not have. You may start a new session."},
	contract.ExitNoPort:        {faultTitle, retryText},
	contract.ExitHost:          {faultTitle, retryText},
	contract.ExitGPU:           {faultTitle, retryText},
}

// causeTexts say more of a session that ended as it should.
var causeTexts = map[status.Cause]string{
	status.CauseGame:    "The game has ended. Thank you for playing.",
	status.CauseHost:    "The session was ended by its host.",
	status.CauseStudio:  "The session was ended by the studio.",
	status.CauseLongest: "The longest time for a session is over.",
	status.CauseNobody:  "Nobody came, so the session ended.",
	status.CauseAway:    "You were away for too long, so the session ended.",
	status.CauseIdle:    "You did nothing for a long time, so the session ended.",
}

// textOf returns the text of an ending. It has nothing of the ending's Reason, which is
// for support.
func textOf(e status.Ending) *endText {
	text, ok := exitTexts[e.Code]
	if !ok {
		text = exitTexts[contract.ExitInternal]
	}
	if cause, ok := causeTexts[e.Cause]; ok {
		text.Text = cause
	}
	return &text
}

// mouseTexts say how a player makes the mouse relative, as games need it. A display
// server without a text needs nothing.
var mouseTexts = map[contract.DisplayServer]string{
	contract.DCV: "For a game that turns with the mouse, choose relative mouse in the session's settings. Esc gives the mouse back.",
}

// Answers to a sign-in.
const (
	badFormText       = "That could not be read. Please try again."
	wrongPasswordText = "The name or the password is not right."
)

// waitText returns the answer to too many attempts to sign in.
func waitText(seconds int) string {
	return "Too many attempts. Please wait " + durationText(seconds) + ", then try again."
}

// durationText returns "30 seconds", or whole minutes: "2 minutes".
func durationText(seconds int) string {
	switch minutes := (seconds + 59) / 60; {
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case minutes == 1:
		return "1 minute"
	default:
		return fmt.Sprintf("%d minutes", minutes)
	}
}
