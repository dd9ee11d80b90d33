package observability_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/contract"
)

func TestObservingAStackCostsLittle(t *testing.T) {
	assert.LessOrEqual(t, observability.Total(observability.Cost(observability.UsualLoad)), 10., "a month, with ten users")
}

// amounts returns the amounts of a bill by line.
func amounts(load observability.Load) map[string]float64 {
	all := map[string]float64{}
	for _, l := range observability.Cost(load) {
		all[l.What] = l.USD()
	}
	return all
}

func TestTheBillFollowsTheLoad(t *testing.T) {
	usual := observability.UsualLoad
	const metrics, ingestion, queries = "metrics, for hours in which they have data", "log ingestion", "the dashboard's queries over all of the log"

	none := usual
	none.Users = 0
	assert.Zero(t, amounts(none)[metrics], "no data, no price")
	assert.Zero(t, amounts(none)[ingestion])
	assert.Equal(t, 3., amounts(none)["the dashboard"], "it is paid whether or not anybody plays")

	silent := usual
	silent.UsageSeconds = 0
	assert.Less(t, amounts(silent)[metrics], amounts(usual)[metrics])
	assert.Less(t, amounts(silent)[ingestion], amounts(usual)[ingestion])

	many := usual
	many.Users = 1000
	most := 0
	for _, row := range contract.Metrics {
		most += max(1, len(row.Values))
	}
	assert.InDelta(t, 0.30*float64(most), amounts(many)[metrics], 0.001, "every metric has data in every hour, and no user adds one")

	often := usual
	often.Views *= 2
	assert.InDelta(t, 2*amounts(usual)[queries], amounts(often)[queries], 1e-9)
}

// The sizes that the bill is calculated with are those of real events.
func TestAUsageEventIsNoLargerThanItIsPaidFor(t *testing.T) {
	usage := contract.Usage{Seconds: 30.001}
	for i, fields := 0, reflect.ValueOf(&usage).Elem(); i < fields.NumField(); i++ {
		if fields.Field(i).Kind() == reflect.Pointer {
			value := 12345.678
			fields.Field(i).Set(reflect.ValueOf(&value))
		}
	}
	text, err := json.Marshal(contract.Event{
		Event: contract.EventUsage, Time: contract.TimeFormat, Session: strings.Repeat("a", 36), Stack: "dev", User: strings.Repeat("u", 31),
		Image: "123456789012.dkr.ecr.us-east-1.amazonaws.com/registry-0a1b2c3@sha256:" + strings.Repeat("0", 64), Usage: &usage,
	})
	require.NoError(t, err)
	assert.Less(t, len(text), 1000)
	assert.Greater(t, len(text), 800, "the size is no guess")
}

const (
	costBegin = "<!-- What follows is made by `make generate` from components/observability. -->\n"
	costEnd   = "<!-- What is made by `make generate` ends here. -->\n"
)

func TestTheCostPageShowsTheBill(t *testing.T) {
	var table strings.Builder
	load := observability.UsualLoad
	fmt.Fprintf(&table, "%d users, each %d hours in %d sessions, a usage event every %d seconds, logs kept for %d days, the dashboard opened %d times:\n\n",
		load.Users, load.HoursEach, load.SessionsEach, load.UsageSeconds, load.LogDays, load.Views)
	table.WriteString("| | quantity | price | a month |\n|---|---|---|---|\n")
	for _, l := range observability.Cost(load) {
		if l.Price == 0 {
			fmt.Fprintf(&table, "| %s | | free | $0.00 |\n", l.What)
			continue
		}
		digits := 2
		if l.Price < 0.01 {
			digits = 3
		}
		fmt.Fprintf(&table, "| %s | %.3g | $%.*f for each %s | $%.2f |\n", l.What, l.Quantity, digits, l.Price, l.Unit, l.USD())
	}
	busy := load
	busy.Users = 1000
	fmt.Fprintf(&table, "| **in all** | | | **$%.2f** |\n\nPrices: %s; list prices, without the free tier.\n"+
		"If every metric has data in every hour of the month, they cost $%.2f.\n", observability.Total(observability.Cost(load)), observability.PricesFrom,
		amounts(busy)["metrics, for hours in which they have data"])

	const file = "../../docs/cost.md"
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), costBegin)
	_, after, ends := strings.Cut(rest, costEnd)
	require.True(t, found && ends, "%s has no place for the table", file)
	want := before + costBegin + table.String() + costEnd + after
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(page), "make generate writes it")
}
