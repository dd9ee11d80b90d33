package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

var update = flag.Bool("update", false, "write the expected page anew")

const stackOutputs = `{"contractVersion":1,"stack":"dev","region":"us-east-1","dashboardName":"dcv-sessions_dev",
	"dashboardUrl":"https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#dashboards/dashboard/dcv-sessions_dev"}`

// deployed is a dashboard with a widget of each type, one that CloudWatch can't draw, and
// one of a type that this page has not.
func deployed() dashboard.Body {
	b := dashboard.Body{Start: "-PT24H", PeriodOverride: "auto"}
	b.Row(2, dashboard.Text{Markdown: "# Now\nWho **plays** and who waits: [runbooks](https://example.com/operations)\n\n- <b>not</b> bold"})
	b.Row(6,
		dashboard.Graph{Title: "Playing", Region: "us-east-1", View: dashboard.ViewTimeSeries, Period: 300, Metrics: []dashboard.Metric{{Namespace: "dcv-sessions", Name: "CPUCores"}}},
		dashboard.Graph{Title: "Refused", Region: "us-east-1", Metrics: []dashboard.Metric{{Namespace: "dcv-sessions", Name: "Refused"}}},
	)
	b.Row(5,
		dashboard.Query{Title: "Failures", Region: "us-east-1", View: "table", Query: "SOURCE '/sessions' | fields user, reason"},
		dashboard.Query{Title: "Nobody", Region: "us-east-1", View: "table", Query: `SOURCE "/sessions" | filter nobody`},
		dashboard.Query{Title: "Broken", Region: "us-east-1", View: "table", Query: "SOURCE '/sessions' | fail"},
	)
	b.Widgets = append(b.Widgets, dashboard.Widget{Type: "alarm", Y: 13, Width: 24, Height: 2, Properties: json.RawMessage(`{"title":"Alarms"}`)},
		dashboard.Widget{Type: dashboard.TypeMetric, Y: 15, Width: 4, Height: 3, Properties: json.RawMessage(`{"title":"Now","view":"singleValue","start":"-PT15M","period":60,"metrics":[["dcv-sessions","CPUCores"]]}`)})
	return b
}

var png = []byte("\x89PNG picture")

// cloud answers the calls of CloudWatch and of its logs.
type cloud struct {
	mu      sync.Mutex
	widgets []map[string]any // that were drawn
	queries map[string]string
	groups  []string
	denied  bool
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{queries: map[string]string{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	return c
}

// drawn returns the widget with a view.
func (c *cloud) drawn(view string) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.widgets, func(w map[string]any) bool { return w["view"] == view })
	return c.widgets[i]
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, operation, isLogs := strings.Cut(r.Header.Get("X-Amz-Target"), "Logs_20140328."); isLogs {
		c.serveLogs(w, r, operation)
		return
	}
	const protocol = "rpc-v2-cbor"
	body, _ := io.ReadAll(r.Body)
	value, _ := cbor.Decode(body)
	member := func(name string) string {
		text, _ := value.(cbor.Map)[name].(cbor.String)
		return string(text)
	}
	answer := func(status int, members cbor.Map) {
		w.Header().Set("Smithy-Protocol", protocol)
		w.Header().Set("Content-Type", "application/cbor")
		w.WriteHeader(status)
		_, _ = w.Write(cbor.Encode(members))
	}
	fail := func(status int, code, message string) {
		answer(status, cbor.Map{"__type": cbor.String(code), "message": cbor.String(message)})
	}
	switch operation := path.Base(r.URL.Path); {
	case c.denied:
		fail(http.StatusForbidden, "AccessDeniedException", "no identity-based policy allows it")
	case operation == "GetDashboard" && member("DashboardName") == "dcv-sessions_dev":
		answer(http.StatusOK, cbor.Map{"DashboardBody": cbor.String(deployed().String())})
	case operation == "GetMetricWidgetImage" && strings.Contains(member("MetricWidget"), "Refused"):
		fail(http.StatusBadRequest, "ValidationException", "Invalid metric widget")
	case operation == "GetMetricWidgetImage":
		var props map[string]any
		_ = json.Unmarshal([]byte(member("MetricWidget")), &props)
		c.widgets = append(c.widgets, props)
		answer(http.StatusOK, cbor.Map{"MetricWidgetImage": cbor.Slice(png)})
	default:
		fail(http.StatusNotFound, "ResourceNotFound", "Dashboard does not exist")
	}
}

func (c *cloud) serveLogs(w http.ResponseWriter, r *http.Request, operation string) {
	body, _ := io.ReadAll(r.Body)
	var in struct {
		LogGroupNames []string
		QueryString   string
		QueryID       string
	}
	_ = json.Unmarshal(body, &in)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if operation == "StartQuery" {
		c.groups = append(c.groups, in.LogGroupNames...)
		id := fmt.Sprint(len(c.queries))
		c.queries[id] = in.QueryString
		fmt.Fprintf(w, `{"queryId":%q}`, id)
		return
	}
	switch query := c.queries[in.QueryID]; query {
	case "fields user, reason":
		c.queries[in.QueryID] += " " // the next look finds it complete
		fmt.Fprint(w, `{"status":"Running","results":[]}`)
	case "fields user, reason ":
		fmt.Fprint(w, `{"status":"Complete","results":[
			[{"field":"user","value":"alice"},{"field":"reason","value":"the game <failed>"},{"field":"@ptr","value":"CmEK"}],
			[{"field":"user","value":"bob"},{"field":"minutes","value":"0.00051944444"}]]}`)
	case "fail":
		fmt.Fprint(w, `{"status":"Failed"}`)
	default:
		fmt.Fprint(w, `{"status":"Complete","results":[]}`)
	}
}

// command runs the command and returns the page.
func command(t *testing.T, args ...string) (text, progress string, err error) {
	t.Helper()
	dir := t.TempDir()
	file, target := filepath.Join(dir, "outputs.json"), filepath.Join(dir, "new", "page.html")
	require.NoError(t, os.WriteFile(file, []byte(stackOutputs), 0o600))
	var out, errs bytes.Buffer
	if err = run(t.Context(), append([]string{"-outputs", file, "-page", target}, args...), &out, &errs); err != nil {
		return "", errs.String(), err
	}
	assert.Equal(t, target+"\n", out.String())
	written, err := os.ReadFile(target)
	require.NoError(t, err)
	return string(written), errs.String(), nil
}

func TestThePageHasEveryWidgetInItsPlace(t *testing.T) {
	c := newCloud(t)
	text, progress, err := command(t)
	require.NoError(t, err)
	assert.Contains(t, text, `<a href="https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#dashboards/dashboard/dcv-sessions_dev">`)
	assert.NotContains(t, text, "<script")
	assert.NotRegexp(t, `(src|href)="(?:[^hd]|h[^t]|d[^a])`, text, "the page needs no other file")

	_, main, _ := strings.Cut(text, "<main>")
	const golden = "testdata/main.html"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(main), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), main)

	assert.Contains(t, progress, "Refused: GetMetricWidgetImage: Invalid metric widget (ValidationException)", "what fails is reported")
	require.Len(t, c.widgets, 2, "and the rest is drawn")
	drawn, now := c.drawn("timeSeries"), c.drawn("singleValue")
	assert.NotContains(t, drawn, "title", "the page has it")
	assert.EqualValues(t, 720, drawn["width"])
	assert.EqualValues(t, 276, drawn["height"])
	assert.EqualValues(t, 900, drawn["period"], "follows the time that is shown")
	from, err := time.Parse(time.RFC3339, drawn["start"].(string))
	require.NoError(t, err)
	assert.InDelta(t, 24, time.Since(from).Hours(), 0.1, "the dashboard's own time")
	to, err := time.Parse(time.RFC3339, drawn["end"].(string))
	require.NoError(t, err)
	assert.Zero(t, to.Unix()%900, "the last period is over: a count in it would be too low")

	assert.EqualValues(t, 60, now["period"], "a widget with a time of its own keeps its period")
	from, err = time.Parse(time.RFC3339, now["start"].(string))
	require.NoError(t, err)
	assert.InDelta(t, 15, time.Since(from).Minutes(), 1)
	assert.Equal(t, []string{"/sessions", "/sessions", "/sessions"}, c.groups)
}

func TestThePageShowsAnotherTimeOnRequest(t *testing.T) {
	c := newCloud(t)
	_, _, err := command(t, "-since", "PT1H")
	require.NoError(t, err)
	from, err := time.Parse(time.RFC3339, c.drawn("timeSeries")["start"].(string))
	require.NoError(t, err)
	assert.InDelta(t, 1, time.Since(from).Hours(), 0.1)

	_, _, err = command(t, "-since", "yesterday")
	assert.ErrorContains(t, err, `time "yesterday" is neither like 2026-11-28T12:00:00Z nor like -PT3H or -P7D`)
}

func TestADashboardThatCantBeReadIsAnErrorInWords(t *testing.T) {
	c := newCloud(t)
	c.denied = true
	_, _, err := command(t)
	assert.EqualError(t, err, "dashboard dcv-sessions_dev: AWS denies GetDashboard: no identity-based policy allows it")

	file := filepath.Join(t.TempDir(), "outputs.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"contractVersion":1,"stack":"dev","region":"us-east-1"}`), 0o600))
	assert.ErrorContains(t, run(t.Context(), []string{"-outputs", file}, io.Discard, io.Discard), `have no "dashboardName"`)
	assert.ErrorContains(t, run(t.Context(), nil, io.Discard, io.Discard), "name the stack")
}

func TestATimeIsADateOrADurationBeforeNow(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"-PT3H": "2026-11-28T09:00:00Z", "PT90M": "2026-11-28T10:30:00Z", "-P7D": "2026-11-21T12:00:00Z", "-P1W": "2026-11-21T12:00:00Z",
		"-P1DT12H": "2026-11-27T00:00:00Z", "-P1M": "2026-10-29T12:00:00Z", "2026-11-01T00:00:00+01:00": "2026-10-31T23:00:00Z", "": "2026-11-28T09:00:00Z",
	} {
		p, err := periodOf(text, now)
		require.NoError(t, err, text)
		assert.Equal(t, want, p.start.Format(time.RFC3339), text)
		assert.Equal(t, now, p.end)
	}
	for _, bad := range []string{"P", "-PT", "3h", "2026-12-01T00:00:00Z", "PT0H"} {
		_, err := periodOf(bad, now)
		assert.Error(t, err, bad)
	}
}

func TestGraphsHaveUpTo200Periods(t *testing.T) {
	now := time.Now()
	for days, want := range map[float64]int{1.0 / 24: 60, 0.125: 60, 0.5: 300, 1: 900, 7: 3600, 30: 21600, 400: 86400} {
		p := period{start: now.Add(-time.Duration(days * 24 * float64(time.Hour))), end: now}
		p.follow()
		assert.Equal(t, want, p.steps, "%v days", days)
	}
}

func TestAQuerysLogGroupsAreTakenApartFromIt(t *testing.T) {
	groups, query, err := splitQuery("SOURCE '/a' , \"/b\" | SOURCE '/c'\n| fields user\n| filter source = 'x'")
	require.NoError(t, err)
	assert.Equal(t, []string{"/a", "/b", "/c"}, groups)
	assert.Equal(t, "fields user\n| filter source = 'x'", query)
	_, _, err = splitQuery("fields user")
	assert.ErrorContains(t, err, "does not begin with SOURCE")
}
