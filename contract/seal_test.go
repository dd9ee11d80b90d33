package contract

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const maxSeconds = "DCV_MAX_SECONDS"

func TestTheSealIsOfWhatOnlyTheJobDefinitionMaySet(t *testing.T) {
	definition := map[string]string{EnvUser: "player1", maxSeconds: "3600", EnvRegion: "us-east-1", EnvCredentials: "a"}
	seal := Seal(definition)
	assert.Regexp(t, "^DCV_DEFINITION_[0-9a-f]{64}$", seal)
	with := func(name, value string) string {
		changed := maps.Clone(definition)
		changed[name] = value
		return Seal(changed)
	}
	for _, name := range []string{EnvUser, maxSeconds, EnvRegion, EnvBatchEndpoint, EnvTopicsEndpoint, EnvNotify, EnvCertificate, "DCV_UNKNOWN"} {
		assert.NotEqual(t, seal, with(name, "another"), name)
	}
	for _, name := range []string{EnvLaunch, EnvDisplayServer, EnvCredentials, seal, "AWS_BATCH_JOB_ID", "NVIDIA_VISIBLE_DEVICES"} {
		assert.Equal(t, seal, with(name, "another"), "the launcher, the image, AWS and the execution role set their own: %s", name)
	}
	without := maps.Clone(definition)
	delete(without, maxSeconds)
	assert.NotEqual(t, seal, Seal(without))
	assert.NotEqual(t, Seal(map[string]string{EnvUser: "ab"}), Seal(map[string]string{EnvUser: "a", "DCV_STACK": "b"}))
	assert.True(t, strings.HasPrefix(seal, EnvSeal))
}
