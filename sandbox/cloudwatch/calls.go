package cloudwatch

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// known decodes the call's input, which is JSON or a form, and refuses members for which
// into has no field.
func known(c *gateway.Call, into any) error {
	if c.Request.Header.Get("X-Amz-Target") != "" {
		return c.Known(into)
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	form.Del("Action")
	form.Del("Version")
	sent := formTree(form)
	if list := gateway.Unknown(sent, reflect.TypeOf(into)); len(list) > 0 {
		return gateway.Unsupported("the sandbox does not know %s of %s", strings.Join(list, ", "), c.Operation)
	}
	text, err := json.Marshal(typed(sent, reflect.TypeOf(into).Elem()))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// formTree returns the tree of a form: "Metrics.member.1.Id=a" is the member Id of the
// first element of Metrics.
func formTree(form url.Values) any {
	root := map[string]any{}
	for name, values := range form {
		at, parts := root, strings.Split(name, ".")
		for _, part := range parts[:len(parts)-1] {
			next, is := at[part].(map[string]any)
			if !is {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = values[0]
	}
	return lists(root)
}

// lists makes a list of each object whose only member is "member".
func lists(value any) any {
	object, is := value.(map[string]any)
	if !is {
		return value
	}
	if members, is := object["member"].(map[string]any); is && len(object) == 1 {
		items := []any{}
		for i := 1; members[strconv.Itoa(i)] != nil; i++ {
			items = append(items, lists(members[strconv.Itoa(i)]))
		}
		return items
	}
	for name, part := range object {
		object[name] = lists(part)
	}
	return object
}

// typed returns a form's tree with the numbers and booleans of a type.
func typed(value any, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := value.(type) {
	case map[string]any:
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				name = field.Name
			}
			if part, has := v[name]; has {
				v[name] = typed(part, field.Type)
			}
		}
	case []any:
		for i := range v {
			v[i] = typed(v[i], t.Elem())
		}
	case string:
		switch t.Kind() {
		case reflect.Int, reflect.Float64:
			return json.Number(v)
		case reflect.Bool:
			return v == "true"
		}
	}
	return value
}

// needsJSON refuses a call in the query protocol, whose answers the sandbox does not
// write. AWS's SDKs and its CLI use others.
func needsJSON(c *gateway.Call) error {
	if c.Request.Header.Get("X-Amz-Target") == "" {
		return gateway.Unsupported("the sandbox answers %s in the CBOR and JSON protocols only", c.Operation)
	}
	return nil
}

// encode returns JSON without json.Marshal's escapes for "<" and "&", which AWS does not
// write.
func encode(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil { // only a type that JSON does not know can do this
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
