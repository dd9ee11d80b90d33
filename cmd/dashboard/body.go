package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

// body returns a deployed dashboard.
func (c clients) body(ctx context.Context, name string) (dashboard.Body, error) {
	answer, err := c.metrics.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: &name})
	if err != nil {
		return dashboard.Body{}, fmt.Errorf("dashboard %s: %s", name, inWords(err))
	}
	return dashboard.Parse(aws.ToString(answer.DashboardBody))
}

// source is the beginning of a query in a dashboard: the log groups, which StartQuery
// takes apart from the query.
var source = regexp.MustCompile(`^\s*SOURCE\s+((?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*)\s*\|\s*`)

// splitQuery returns the log groups of a widget's query, and the query itself.
func splitQuery(text string) (groups []string, query string, err error) {
	for {
		found := source.FindStringSubmatch(text)
		if found == nil {
			break
		}
		for _, group := range strings.Split(found[1], ",") {
			groups = append(groups, strings.Trim(group, ` '"`))
		}
		text = text[len(found[0]):]
	}
	if len(groups) == 0 {
		return nil, "", fmt.Errorf("its query does not begin with SOURCE 'LOG GROUP' | : %q", text)
	}
	return groups, strings.TrimSpace(text), nil
}
