package gameimage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/gameimage"
)

func TestAnAddressOfECRNamesAccountRegionAndRepository(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for use, want := range map[string][3]string{
		"222222222222.dkr.ecr.eu-west-1.amazonaws.com/game" + digest:          {"222222222222", "eu-west-1", "game"},
		"222222222222.dkr.ecr.eu-west-1.amazonaws.com/studio/game" + digest:   {"222222222222", "eu-west-1", "studio/game"},
		"222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn/game" + digest:      {"222222222222", "cn-north-1", "game"},
		"222222222222.dkr-ecr.eu-west-1.on.aws/game" + digest:                 {"222222222222", "eu-west-1", "game"},
		"222222222222.dkr.ecr-fips.us-gov-west-1.amazonaws.com/game" + digest: {"222222222222", "us-gov-west-1", "game"},
		"":                                   {},
		"1.2":                                {},
		"latest":                             {},
		"registry.example.com/game" + digest: {},
		"127.0.0.1:5000/game" + digest:       {},
		"222222222222.dkr.ecr.eu-west-1.amazonaws.com.example.com/game" + digest: {},
		"222222222222.dkr.ecr.eu-west-1.amazonaws.com/game":                      {},
	} {
		account, region, name := gameimage.UsedRepository(use)
		assert.Equal(t, want, [3]string{account, region, name}, use)
	}
}
