package componenttest

import "github.com/intraverse/dcv-sessions/internal/faults"

// FaultsOf returns the faults that the Check of a component's arguments finds in one
// property.
func FaultsOf(args interface {
	Check(f *faults.Faults, at func(property string) string)
}, property string) []string {
	var f faults.Faults
	args.Check(&f, func(name string) string {
		if name == property {
			return name
		}
		return ""
	})
	return f.List()
}
