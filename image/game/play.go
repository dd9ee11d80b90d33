package game

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
	"github.com/intraverse/dcv-sessions/internal/keyboard"
)

// steps returns a reader of a list of at least some steps.
func steps(into *[]contract.Step, least int) reader {
	return func(f *faults.Faults, path string, list *yaml.Node) {
		if list.Kind != yaml.SequenceNode || len(list.Content) < least || len(list.Content) > contract.MaxSteps {
			f.Add(path, written(list), fmt.Sprintf("a list of %d to %d steps", least, contract.MaxSteps))
			return
		}
		*into = nil // not the default
		for i, item := range list.Content {
			*into = append(*into, readStep(f, at(path, i), resolved(item)))
		}
	}
}

// action is an action that a step may have.
type action struct {
	key
	check func(f *faults.Faults, path string) // of the values that were read
}

// readStep reads one step: a mapping with one action.
func readStep(f *faults.Faults, path string, node *yaml.Node) contract.Step {
	var s contract.Step
	hold := &contract.Hold{}
	actions := []action{
		{key{"key", &s.Key, keyRule, nil}, func(f *faults.Faults, path string) { checkKey(f, path, s.Key) }},
		{key{"hold", nil, "", []key{{"key", &hold.Key, keyRule, nil}, {"seconds", &hold.Seconds, secondsRule, nil}}}, func(f *faults.Faults, path string) {
			s.Hold = hold
			checkKey(f, path+".key", hold.Key)
			checkSeconds(f, path+".seconds", hold.Seconds)
		}},
		{key{"move", &s.Move, pointRule, nil}, func(f *faults.Faults, path string) { checkPoint(f, path, s.Move) }},
		{key{"click", &s.Click, pointRule, nil}, func(f *faults.Faults, path string) { checkPoint(f, path, s.Click) }},
		{key{"wait", &s.Wait, secondsRule, nil}, func(f *faults.Faults, path string) { checkSeconds(f, path, s.Wait) }},
	}
	var keys []key
	var names []string
	for _, a := range actions {
		keys, names = append(keys, a.key), append(names, a.name)
	}
	if node.Kind != yaml.MappingNode || len(node.Content) != 2 {
		f.Add(path, written(node), "one of "+strings.Join(names, ", ")+", with its value")
		return s
	}
	decodeMapping(f, path, node, keys)
	for _, a := range actions {
		if a.name == node.Content[0].Value && !f.Wrong(path+"."+a.name) {
			a.check(f, path+"."+a.name)
		}
	}
	return s
}

const (
	keyRule   = "the code of a key, such as Enter, KeyW or ArrowUp"
	pointRule = "two numbers from 0 to 1: parts of the picture's width and height"
)

var secondsRule = fmt.Sprintf("seconds, a number from %v to %v", contract.MinStep, contract.MaxStep)

func checkKey(f *faults.Faults, path, code string) {
	if _, known := keyboard.Find(code); !known && !f.Wrong(path) {
		f.Add(path, code, keyRule+"; nearest: "+faults.Nearest(code, keyboard.Codes()))
	}
}

func checkSeconds(f *faults.Faults, path string, s contract.Seconds) {
	if !f.Wrong(path) {
		f.Check(s >= contract.MinStep && s <= contract.MaxStep, path, s, secondsRule)
	}
}

func checkPoint(f *faults.Faults, path string, p *contract.Point) {
	in := func(part float64) bool { return part >= 0 && part <= 1 }
	f.Check(p != nil && in(p[0]) && in(p[1]), path, p, pointRule)
}
