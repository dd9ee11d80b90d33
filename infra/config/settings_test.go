package config_test

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
)

// another returns an allowed value of a key other than its default, or "" if the key
// is a text or a list without a few values to choose from.
func another(k config.Key) string {
	low, high := k.Range()
	switch n, err := strconv.Atoi(k.Default); {
	case err == nil && high > 0 && n < high:
		return strconv.Itoa(n + 1)
	case err == nil && high > 0:
		return strconv.Itoa(low)
	case k.Type == "boolean":
		return strconv.FormatBool(k.Default == "false")
	}
	for _, value := range k.Values() {
		if value != k.Default {
			return value
		}
	}
	return ""
}

func TestEveryNumberFlagAndChoiceReachesItsField(t *testing.T) {
	standard := mustLoad(t, nil)
	for _, k := range config.Keys() {
		value := another(k)
		if value == "" {
			continue
		}
		got, _ := load(t, "dev", but(values{k.Name: value})) // other keys may not go with it
		assert.Equal(t, value, fmt.Sprint(k.Of(got)), k.Name)
		for _, other := range config.Keys() {
			if other.Name != k.Name {
				assert.Equal(t, other.Of(standard), other.Of(got), "%s changes %s", k.Name, other.Name)
			}
		}
	}
}

// settingKeys returns the keys that set a setting, by its name.
func settingKeys(t *testing.T) map[string]config.Key {
	all := map[string]config.Key{}
	for _, k := range config.Keys() {
		if field := k.Setting(); field != "" {
			require.NotContains(t, all, field, k.Name)
			all[field] = k
		}
	}
	return all
}

func TestEverySettingIsAKeyOrKnownToTheProgram(t *testing.T) {
	program := []string{"Stack", "User", "Image", "Region", "BatchEndpoint", "TopicsEndpoint"}
	keys := settingKeys(t)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[contract.Settings]()) {
		if !field.Anonymous && !slices.Contains(program, field.Name) {
			assert.Contains(t, keys, field.Name)
		}
	}
}

func TestAKeyHasTheDefaultOfItsSetting(t *testing.T) {
	want := contract.DefaultSettings()
	want.Stack, want.Region = "dev", "us-east-1"
	assert.Equal(t, want, mustLoad(t, nil).Settings("dev"))
}

func TestAKeySetsItsSettingAndNoOther(t *testing.T) {
	standard := mustLoad(t, nil).Settings("dev")
	for field, k := range settingKeys(t) {
		unit := k.Unit()
		cfg, _ := load(t, "dev", but(values{k.Name: another(k)}))
		got, want := cfg.Settings("dev"), standard
		changed := reflect.ValueOf(&want).Elem().FieldByName(field)
		switch value := k.Of(cfg).(type) {
		case int:
			if field == "Ports" {
				want.Ports = contract.PortRange{First: value, Last: value}
				break
			}
			require.Positive(t, unit, k.Name)
			changed.SetInt(int64(time.Duration(value) * unit))
		case bool:
			changed.SetBool(value)
		case string:
			changed.SetString(value)
		}
		assert.NotEqual(t, standard, got, k.Name)
		assert.Equal(t, want, got, k.Name)
	}
}

func TestAKeyHasTheRangeOfItsSetting(t *testing.T) {
	for field, k := range settingKeys(t) {
		setting := contract.SettingOf(field)
		unit := k.Unit()
		refused := func(change values) bool { // for the key alone, not for what goes with it
			return slices.ContainsFunc(faultsOf(t, "dev", but(change)), func(fault string) bool {
				return strings.HasPrefix(fault, contract.Product+":"+k.Name) && strings.HasSuffix(fault, k.Allowed)
			})
		}
		for _, value := range setting.Values {
			assert.False(t, refused(values{k.Name: value}), "%s %s", k.Name, value)
		}
		if setting.Max == 0 {
			continue
		}
		low, high := setting.Min, setting.Max
		if unit > 0 {
			low, high = low/int(unit.Seconds()), high/int(unit.Seconds())
		}
		assert.Equal(t, fmt.Sprintf("a whole number from %d to %d", low, high), k.Allowed, k.Name)
		for value, good := range map[int]bool{low - 1: false, low: true, high: true, high + 1: false} {
			assert.Equal(t, !good, refused(values{k.Name: strconv.Itoa(value)}), "%s %d", k.Name, value)
		}
	}
}
