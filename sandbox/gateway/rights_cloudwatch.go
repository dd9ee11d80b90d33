package gateway

import (
	"fmt"
	"regexp"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// namesOf returns the values of a member, a text or a list of texts, in any protocol.
func namesOf(c *Call, member string) ([]string, error) {
	if speaksQuery(c) {
		in, err := form(c)
		return members(in, regexp.MustCompile(`^`+member+`(\.member\.\d+)?$`)), err
	}
	in, err := fieldsOf(c)
	if err != nil {
		return nil, err
	}
	var names []string
	if name := in.text(member); name != "" {
		names = []string{name}
	}
	list, _ := in[member].([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	return names, nil
}

// cloudWatchNeeds returns a need for each name in one of the members, or one for every
// resource of the kind if the call names none.
func cloudWatchNeeds(c *Call, arn func(name string) string, names ...string) ([]need, error) {
	var needs []need
	for _, member := range names {
		found, err := namesOf(c, member)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			needs = append(needs, need{resource: arn(name)})
		}
	}
	if len(needs) == 0 {
		needs = []need{{resource: arn("*")}}
	}
	return needs, nil
}

func alarm(_ *Rights, c *Call) ([]need, error) {
	return cloudWatchNeeds(c, func(name string) string { return arnOf(c, "cloudwatch", "alarm:"+name) }, "AlarmName", "AlarmNames")
}

// dashboard returns ARNs without a Region: a dashboard has none.
func dashboard(_ *Rights, c *Call) ([]need, error) {
	return cloudWatchNeeds(c, func(name string) string { return "arn:aws:cloudwatch::" + local.Account + ":dashboard/" + name }, "DashboardName", "DashboardNames")
}

// queried returns the log groups of StartQuery.
func queried(_ *Rights, c *Call) ([]need, error) {
	return cloudWatchNeeds(c, func(name string) string { return named(c, "logs", "log-group:", name) + ":log-stream:" },
		"logGroupName", "logGroupNames", "logGroupIdentifiers")
}
