package game

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// key is a key that a mapping may have: a value, or a mapping of its own. yaml.v3's
// own errors name wrong types by their line, without the allowed values.
type key struct {
	name string
	into any // a pointer, or a reader; nil if there are keys
	what string
	keys []key
}

// reader reads the value at a path.
type reader func(f *faults.Faults, path string, value *yaml.Node)

// decode reads a text of known keys. A key without a value is as if it weren't
// there. Its error is a text that is no YAML at all.
func decode(f *faults.Faults, text []byte, keys []key) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // empty: the checks report the missing keys
	} else if err != nil {
		return err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("it holds more than one YAML document")
	}
	decodeMapping(f, "", document.Content[0], keys)
	return nil
}

func decodeMapping(f *faults.Faults, path string, node *yaml.Node, keys []key) {
	if node.Kind != yaml.MappingNode {
		f.Add(cmp.Or(path, "the text"), written(node), "the keys "+strings.Join(paths("", keys), ", "))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		name, value := node.Content[i].Value, resolved(node.Content[i+1])
		whole := strings.TrimPrefix(path+"."+name, ".")
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		switch {
		case at < 0:
			f.Unknown(whole, paths(path, keys))
		case seen[name]:
			f.Add(whole, written(value), "each key once")
		case value.ShortTag() == "!!null":
		default:
			keys[at].read(f, whole, value)
		}
		seen[name] = true
	}
}

// read reads the key's value at a path.
func (k key) read(f *faults.Faults, path string, value *yaml.Node) {
	switch into := k.into.(type) {
	case nil:
		decodeMapping(f, path, value, k.keys)
	case reader:
		into(f, path, value)
	default:
		if value.Decode(into) != nil {
			f.Add(path, written(value), k.what)
		}
	}
}

// resolved returns the value that an alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// paths returns the paths of the keys of the mapping at a path.
func paths(path string, keys []key) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = strings.TrimPrefix(path+"."+k.name, ".")
	}
	return all
}

// written returns a value as it was written.
func written(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode {
		return shorten(node.Value)
	}
	text, err := yaml.Marshal(node)
	if err != nil {
		return fmt.Sprintf("line %d", node.Line)
	}
	return shorten(strings.TrimSpace(string(text)))
}

func shorten(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
