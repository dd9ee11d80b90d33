package contract

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// changed returns settings in which every field has an allowed value of its own,
// none of them its zero value.
func changed(t *testing.T) Settings {
	t.Helper()
	var s Settings
	for i, setting := range settings {
		switch v := setting.of(&s).(type) {
		case *string:
			*v = fmt.Sprint("text", i)
		case *bool:
			*v = true
		case *time.Duration:
			*v = time.Duration(setting.Min+1+i) * time.Second
		case *PortRange:
			*v = PortRange{First: 9001, Last: 9002}
		case *DisplayMode:
			*v = DisplayMode(setting.Values[i%len(setting.Values)])
		default:
			t.Fatalf("%s: a %T", setting.Name, v)
		}
	}
	s.Max = 24 * time.Hour // above FirstConnect
	for _, setting := range settings {
		require.False(t, reflect.ValueOf(setting.of(&s)).Elem().IsZero(), setting.Name)
	}
	return s
}

// environment returns an environment by name, and a lookup in it.
func environment(s Settings) (map[string]string, func(string) (string, bool)) {
	all := map[string]string{}
	for _, pair := range s.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return all, func(name string) (string, bool) {
		value, set := all[name]
		return value, set
	}
}

// faultsOf returns the faults of settings, by the names of their properties.
func faultsOf(s Settings) string {
	var f faults.Faults
	s.Check(&f, func(property string) string { return "its." + property })
	return strings.Join(f.List(), "\n")
}

func TestEverySettingComesBackFromItsEnvironment(t *testing.T) {
	want := changed(t)
	_, lookup := environment(want)
	got, err := ParseSettings(lookup)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestAnEnvironmentIsSortedAndHasEachVariableOnce(t *testing.T) {
	environ := changed(t).Environ()
	assert.True(t, slices.IsSorted(environ))
	variables := 1 // the contract's version
	for _, setting := range settings {
		variables += len(setting.Variables)
	}
	all, _ := environment(changed(t))
	assert.Len(t, environ, variables)
	assert.Len(t, all, variables, "no two settings share a variable")
}

// Images that image.use names may be older than the program.
func TestTheVariablesKeepTheirNames(t *testing.T) {
	names := strings.Fields(`AWS_ENDPOINT_URL_BATCH AWS_ENDPOINT_URL_SNS AWS_REGION DCV_CONTRACT DCV_FIRST_CONNECT_SECONDS DCV_GRACE_SECONDS
 DCV_IDLE_SECONDS DCV_IMAGE DCV_MAX_SECONDS DCV_NATIVE_CLIENTS DCV_PORT_FIRST DCV_PORT_LAST DCV_SESSION_TYPE DCV_SOFTWARE_RENDERING
 DCV_STACK DCV_STOP_SECONDS DCV_USAGE_SECONDS DCV_USER`)
	all, _ := environment(changed(t))
	for _, name := range names {
		assert.Contains(t, all, name)
	}
}

func TestEverySettingIsSealed(t *testing.T) {
	all, _ := environment(changed(t))
	seal := Seal(all)
	for name, value := range all {
		all[name] = value + "0"
		assert.NotEqual(t, seal, Seal(all), name)
		all[name] = value
	}
}

func TestEveryVariableThatIsMissingOrMalformedIsAFault(t *testing.T) {
	for _, setting := range settings {
		for _, name := range setting.Variables {
			all, lookup := environment(changed(t))
			delete(all, name)
			got, err := ParseSettings(lookup)
			if setting.optional {
				assert.NoError(t, err, name)
				assert.True(t, reflect.ValueOf(setting.of(&got)).Elem().IsZero())
				continue
			}
			require.ErrorContains(t, err, name)
			assert.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 1, name)
			if _, text := setting.of(&got).(*string); text {
				continue
			}
			for _, malformed := range []string{"", "both", "1.5", "99999999999999999999", "18446744073709551617"} {
				all[name] = malformed
				_, err := ParseSettings(lookup)
				require.ErrorContains(t, err, name, malformed)
				assert.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 1, "%s=%q", name, malformed)
			}
		}
	}
}

func TestAllFaultsOfAnEnvironmentAreJoined(t *testing.T) {
	all, lookup := environment(changed(t))
	all[EnvContract], all[EnvUser], all["DCV_GRACE_SECONDS"], all["DCV_NATIVE_CLIENTS"] = "2", "Player", "-1", "yes"
	got, err := ParseSettings(lookup)
	for _, part := range []string{EnvContract, EnvUser, "DCV_GRACE_SECONDS", "-1s", "10s to 2h", "DCV_NATIVE_CLIENTS"} {
		assert.ErrorContains(t, err, part)
	}
	assert.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 4)
	assert.Equal(t, "Player", got.User, "events carry what could be parsed")
}

func TestEveryDurationHasTheRangeOfItsTags(t *testing.T) {
	bounded := 0
	for _, setting := range settings {
		s := changed(t)
		s.FirstConnect = time.Duration(SettingOf("FirstConnect").Min) * time.Second // at most Max, whatever that is
		d, ok := setting.of(&s).(*time.Duration)
		if !ok {
			continue
		}
		bounded++
		low, high := time.Duration(setting.Min)*time.Second, time.Duration(setting.Max)*time.Second
		require.Less(t, low, high, setting.Name)
		for value, good := range map[time.Duration]bool{low - time.Second: false, low: true, high: true, high + time.Second: false} {
			*d = value
			if good {
				assert.Empty(t, faultsOf(s), "%s %s", setting.Name, value)
			} else {
				assert.Contains(t, faultsOf(s), "its."+setting.Property(), value)
			}
		}
	}
	assert.Equal(t, reflect.TypeFor[Limits]().NumField()+1, bounded, "and Usage")
}

func TestSettingsOutOfTheirRangeAreFaults(t *testing.T) {
	for property, all := range map[string][]func(*Settings){
		"stack": {func(s *Settings) { s.Stack = "" }, func(s *Settings) { s.Stack = "Dev_1" }},
		"user":  {func(s *Settings) { s.User = "Player" }, func(s *Settings) { s.User = "root" }, func(s *Settings) { s.User = strings.Repeat("a", 32) }},
		"ports": {
			func(s *Settings) { s.Ports = PortRange{} },
			func(s *Settings) { s.Ports = PortRange{First: 1024, Last: 1030} },
			func(s *Settings) { s.Ports = PortRange{First: 8443, Last: 8442} },
			func(s *Settings) { s.Ports = PortRange{First: 32767, Last: 32768} },
			func(s *Settings) { s.Ports = PortRange{First: 2370, Last: 2375} },
		},
		"firstConnect": {func(s *Settings) { s.FirstConnect, s.Max = time.Hour, 59*time.Minute }},
		"usage":        {func(s *Settings) { s.Usage = time.Second }, func(s *Settings) { s.Usage = leastUsage - time.Second }},
		"displayMode":  {func(s *Settings) { s.DisplayMode = "both" }, func(s *Settings) { s.DisplayMode = "" }},
	} {
		for i, change := range all {
			s := changed(t)
			change(&s)
			assert.Contains(t, faultsOf(s), "its."+property, "%d", i)
		}
	}
	for name, change := range map[string]func(*Settings){
		"no usage":                    func(s *Settings) { s.Usage = 0 },
		"usage as often as may be":    func(s *Settings) { s.Usage = leastUsage },
		"one port":                    func(s *Settings) { s.Ports = PortRange{First: 32767, Last: 32767} },
		"the ports above Docker's":    func(s *Settings) { s.Ports = PortRange{First: 2377, Last: 32767} },
		"a wait as long as a session": func(s *Settings) { s.FirstConnect, s.Max = time.Hour, time.Hour },
		"what is not known yet":       func(s *Settings) { s.User, s.Image, s.Region = "", "", "" },
	} {
		s := changed(t)
		change(&s)
		assert.Empty(t, faultsOf(s), name)
	}
}

func TestTheDefaultsAreAllowed(t *testing.T) {
	s := DefaultSettings()
	s.Stack = "dev"
	assert.Empty(t, faultsOf(s))
	assert.Equal(t, PortRange{First: 8443, Last: 8443}, s.Ports)
	assert.Equal(t, 5*time.Hour, s.Max)
	for _, setting := range settings {
		if _, text := setting.of(&s).(*string); !text {
			assert.NotEmpty(t, setting.Default, "%s has none", setting.Name)
		}
	}
}

func TestWhatHasItsFaultAlreadyIsNotCheckedAgain(t *testing.T) {
	var f faults.Faults
	Settings{}.Check(&f, func(string) string { return "" })
	assert.Empty(t, f.List())
}

func TestADurationIsPrintedAsAPersonWritesIt(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "45s": 45 * time.Second, "10m": 10 * time.Minute, "1m50s": 110 * time.Second, "2h": 2 * time.Hour, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second,
	} {
		assert.Equal(t, want, span(d).String())
	}
}
