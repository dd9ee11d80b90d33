package contract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// Settings are the settings of one user's session. The program makes them from the
// stack's configuration, the job definition carries them in its environment, and the
// session parses them from there.
//
// A new setting is a new field here: the code between the configuration and the
// setting's consumer follows the tags, which are:
//
//   - env: the environment variable; a range of ports has two, separated by "|". A
//     variable never changes its name: an older image, which image.use may name,
//     reads it too.
//   - default: the value in DefaultSettings; of ports the first one. The
//     configuration's key has the same default.
//   - min, max: the bounds of a duration, which the environment has in seconds.
//   - values: the only values of a text, separated by "|".
//   - optional: "true" for a text that may be empty, and then has no variable.
type Settings struct {
	Stack  string    `env:"DCV_STACK"`  // the Pulumi stack's name
	User   string    `env:"DCV_USER"`   // the user's name
	Image  string    `env:"DCV_IMAGE"`  // repository@sha256:… that the job runs
	Region string    `env:"AWS_REGION"` // AWS Batch sets none on EC2
	Ports  PortRange `env:"DCV_PORT_FIRST|DCV_PORT_LAST" default:"8443"`

	// Endpoints of AWS services, in the SDKs' own variables, if the stack's
	// aws:endpoints names any.
	BatchEndpoint  string `env:"AWS_ENDPOINT_URL_BATCH" optional:"true"`
	TopicsEndpoint string `env:"AWS_ENDPOINT_URL_SNS" optional:"true"`

	Limits

	Usage time.Duration `env:"DCV_USAGE_SECONDS" default:"30s" min:"0s" max:"1h"` // between two EventUsage, at least leastUsage; 0: none

	DisplayMode       DisplayMode `env:"DCV_SESSION_TYPE" default:"console" values:"console|virtual"` // DCV's name for it is "session type"
	NativeClients     bool        `env:"DCV_NATIVE_CLIENTS" default:"false"`                          // players may use DCV's native clients too
	SoftwareRendering bool        `env:"DCV_SOFTWARE_RENDERING" default:"false"`                      // the game may run without a GPU
}

// leastUsage is the least Settings.Usage other than 0. An event has about 600 bytes, so
// that a session writes about 10 MB of them a day.
const leastUsage = 5 * time.Second

// Limits are the durations that end a session.
type Limits struct {
	FirstConnect time.Duration `env:"DCV_FIRST_CONNECT_SECONDS" default:"15m" min:"1m" max:"24h"` // until the first player comes
	Grace        time.Duration `env:"DCV_GRACE_SECONDS" default:"5m" min:"10s" max:"2h"`          // while the player is away
	Idle         time.Duration `env:"DCV_IDLE_SECONDS" default:"30m" min:"0s" max:"24h"`          // while the player does nothing; 0: forever
	Max          time.Duration `env:"DCV_MAX_SECONDS" default:"5h" min:"1m" max:"168h"`           // in all, from the session's start
	// Stop is the time from SIGTERM to SIGKILL on the host: the game's time to save,
	// and 10 seconds for closing the session. A Spot interruption leaves two minutes
	// in all.
	Stop time.Duration `env:"DCV_STOP_SECONDS" default:"30s" min:"12s" max:"110s"`
}

// DisplayMode is the kind of screen that DCV shows: its "session type".
type DisplayMode string

// The display modes.
const (
	DisplayConsole DisplayMode = "console" // the X server's own screen, on the GPU
	DisplayVirtual DisplayMode = "virtual" // one that DCV makes
)

// Setting describes a field of Settings by its tags.
type Setting struct {
	Name      string   // the field's name: "Idle"
	Variables []string // of the environment
	Default   string   // as its variable has it; of ports the first one; "": none
	Min, Max  int      // of a duration in seconds, or of a port; both 0: unbounded
	Values    []string // the only ones; nil: any

	optional bool
	index    []int // of the field
}

// SettingOf returns the setting with a field's name. It panics if there is none.
func SettingOf(field string) Setting {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == field })
	if i < 0 {
		panic("contract: Settings has no field " + field)
	}
	return settings[i]
}

// Variables that are used apart from the other settings.
var (
	EnvUser              = SettingOf("User").Variables[0]
	EnvRegion            = SettingOf("Region").Variables[0]
	EnvPortFirst         = SettingOf("Ports").Variables[0]
	EnvPortLast          = SettingOf("Ports").Variables[1]
	EnvBatchEndpoint     = SettingOf("BatchEndpoint").Variables[0]
	EnvTopicsEndpoint    = SettingOf("TopicsEndpoint").Variables[0]
	EnvGrace             = SettingOf("Grace").Variables[0]
	EnvUsage             = SettingOf("Usage").Variables[0]
	EnvMax               = SettingOf("Max").Variables[0]
	EnvDisplayMode       = SettingOf("DisplayMode").Variables[0]
	EnvSoftwareRendering = SettingOf("SoftwareRendering").Variables[0]
)

var settings = describe(reflect.TypeFor[Settings]())

func describe(t reflect.Type) []Setting {
	var all []Setting
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous {
			continue
		}
		s := Setting{
			Name: field.Name, Variables: strings.Split(field.Tag.Get("env"), "|"), Default: field.Tag.Get("default"),
			optional: field.Tag.Get("optional") == "true", index: field.Index,
		}
		if values := field.Tag.Get("values"); values != "" {
			s.Values = strings.Split(values, "|")
		}
		switch field.Type {
		case reflect.TypeFor[PortRange]():
			s.Min, s.Max = FirstSessionPort, LastSessionPort
		case reflect.TypeFor[time.Duration]():
			s.Min, s.Max = seconds(field.Tag.Get("min")), seconds(field.Tag.Get("max"))
			s.Default = strconv.Itoa(seconds(s.Default))
		}
		all = append(all, s)
	}
	return all
}

func seconds(tag string) int {
	d, err := time.ParseDuration(tag)
	if err != nil {
		panic("contract: " + err.Error())
	}
	return int(d / time.Second)
}

// DefaultSettings returns settings with each default, and without a stack, a user, an
// image and a Region.
func DefaultSettings() Settings {
	var s Settings
	for _, setting := range settings {
		if setting.Default != "" {
			setting.parse(&faults.Faults{}, setting.of(&s), func(string) (string, bool) { return setting.Default, true })
		}
	}
	return s
}

// Environ returns the settings as a job's environment: NAME=value, in ascending
// order.
func (s Settings) Environ() []string {
	environ := []string{EnvContract + "=" + strconv.Itoa(Version)}
	for _, setting := range settings {
		for i, text := range texts(setting.of(&s)) {
			if text != "" || !setting.optional {
				environ = append(environ, setting.Variables[i]+"="+text)
			}
		}
	}
	slices.Sort(environ)
	return environ
}

// texts returns the values of a setting's variables.
func texts(field any) []string {
	switch v := field.(type) {
	case *PortRange:
		return []string{strconv.Itoa(v.First), strconv.Itoa(v.Last)}
	case *time.Duration:
		return []string{strconv.Itoa(int(*v / time.Second))}
	case *bool:
		return []string{strconv.FormatBool(*v)}
	case *DisplayMode:
		return []string{string(*v)}
	}
	return []string{*field.(*string)}
}

// ParseSettings parses the settings of an environment; lookup returns a variable of
// it, as os.LookupEnv does. The error joins one error for each fault. The settings
// are returned with an error too, as far as they could be parsed: events name the
// stack, the user and the image.
func ParseSettings(lookup func(name string) (string, bool)) (Settings, error) {
	var s Settings
	var f faults.Faults
	version, _ := lookup(EnvContract)
	f.Check(version == strconv.Itoa(Version), EnvContract, version, // no guesses about another version
		fmt.Sprintf("%d, the version of the contract that the image was built with", Version))
	variables := map[string]string{} // of each property that was parsed
	for _, setting := range settings {
		if setting.parse(&f, setting.of(&s), lookup) {
			variables[setting.Property()] = strings.Join(setting.Variables, ", ")
		}
	}
	s.Check(&f, func(property string) string { return variables[property] })
	var all []error
	for _, fault := range f.List() {
		all = append(all, errors.New(fault))
	}
	return s, errors.Join(all...)
}

// parse sets a field from its variables. It adds a fault for each variable that is
// missing or malformed, and reports whether there is none.
func (s Setting) parse(f *faults.Faults, field any, lookup func(string) (string, bool)) bool {
	parsed := true
	text := func(i int) string {
		value, _ := lookup(s.Variables[i])
		return value
	}
	check := func(i int, ok bool, allowed string) {
		f.Check(ok, s.Variables[i], text(i), allowed)
		parsed = parsed && ok
	}
	number := func(i int, unit string) int {
		n, err := strconv.ParseInt(text(i), 10, 32)
		check(i, err == nil, "a whole number"+unit)
		return int(n)
	}
	switch v := field.(type) {
	case *PortRange:
		*v = PortRange{First: number(0, ""), Last: number(1, "")}
	case *time.Duration:
		*v = time.Duration(number(0, " of seconds")) * time.Second
	case *bool:
		*v = text(0) == "true"
		check(0, *v || text(0) == "false", "true or false")
	case *DisplayMode:
		*v = DisplayMode(text(0))
	case *string:
		*v = text(0)
		check(0, *v != "" || s.optional, "a value")
	}
	return parsed
}

// Check adds a fault for each setting that is out of its range. at returns the name
// that a property ("stop", "firstConnect", …) has in a fault, or "" for one that is
// not to be checked, because it has a fault already. An empty user, image or Region
// is not a fault: the program does not always know them yet.
func (s Settings) Check(f *faults.Faults, at func(property string) string) {
	check := func(ok bool, property string, value any, allowed string) {
		if path := at(property); path != "" {
			f.Check(ok, path, value, allowed)
		}
	}
	check(StackPattern.MatchString(s.Stack), "stack", s.Stack, "text that matches "+StackPattern.String())
	check(s.User == "" || UserPattern.MatchString(s.User), "user", s.User, "text that matches "+UserPattern.String())
	check(!Reserved(s.User), "user", s.User, "no account of the session image")
	for _, setting := range settings {
		switch v := setting.of(&s).(type) {
		case *PortRange:
			check(v.First >= setting.Min && v.First <= v.Last && v.Last <= setting.Max, setting.Property(), *v,
				fmt.Sprintf("a range within %d-%d, a port for each session of a host", setting.Min, setting.Max))
			for _, taken := range HostPorts {
				check(v.Last < taken.First || v.First > taken.Last, setting.Property(), *v,
					fmt.Sprintf("a range without %s, which the hosts use themselves", taken))
			}
		case *time.Duration:
			low, high := time.Duration(setting.Min)*time.Second, time.Duration(setting.Max)*time.Second
			check(low <= *v && *v <= high, setting.Property(), span(*v), fmt.Sprintf("%s to %s", span(low), span(high)))
		case *DisplayMode:
			check(slices.Contains(setting.Values, string(*v)), setting.Property(), string(*v), strings.Join(setting.Values, " or "))
		}
	}
	check(s.Usage <= 0 || s.Usage >= leastUsage, "usage", span(s.Usage), fmt.Sprintf("0s, or at least %s", span(leastUsage)))
	if most := at("max"); most != "" {
		check(s.FirstConnect <= s.Max, "firstConnect", span(s.FirstConnect), fmt.Sprintf("at most %s, %s", most, span(s.Max)))
	}
}

// of returns a pointer to the setting's field.
func (s Setting) of(all *Settings) any {
	return reflect.ValueOf(all).Elem().FieldByIndex(s.index).Addr().Interface()
}

// Property returns the setting's name as Check passes it to at: "idle".
func (s Setting) Property() string {
	name := []rune(s.Name)
	name[0] = unicode.ToLower(name[0])
	return string(name)
}

// span is a duration that is printed without zeros at its end: "5m", not "5m0s".
type span time.Duration

func (d span) String() string {
	text := time.Duration(d).String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
