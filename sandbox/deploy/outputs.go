package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"text/tabwriter"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// printOutputs prints the stack's outputs as a table, with a line for each nested one.
func printOutputs(w io.Writer, outputs auto.OutputMap) {
	names := make([]string, 0, len(outputs))
	for name := range outputs {
		names = append(names, name)
	}
	sort.Strings(names)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nOUTPUT\tVALUE")
	for _, name := range names {
		value := outputs[name].Value
		if outputs[name].Secret {
			value = "[secret]"
		}
		printOutput(table, name, value)
	}
	_ = table.Flush()
}

func printOutput(w io.Writer, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			printOutput(w, name+"."+key, v[key])
		}
	case string:
		fmt.Fprintf(w, "%s\t%s\n", name, v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			b = []byte(err.Error())
		}
		fmt.Fprintf(w, "%s\t%s\n", name, b)
	}
}
