package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/delivery"
)

func TestAPageIsAtGitHubOrAtItsEnterpriseServer(t *testing.T) {
	for _, c := range []struct{ api, repository, want string }{
		{"https://api.github.com", "studio/game", "https://github.com/studio/game/blob/main/docs/cost.md"},
		{"https://api.github.com/", "studio/game", "https://github.com/studio/game/blob/main/docs/cost.md"},
		{"https://git.example.com/api/v3", "studio/game", "https://git.example.com/studio/game/blob/main/docs/cost.md"},
		{"https://git.example.com/api/v3/", "studio/game", "https://git.example.com/studio/game/blob/main/docs/cost.md"},
		{"https://api.github.com", "", "docs/cost.md"},
	} {
		assert.Equal(t, c.want, delivery.PageURL(c.api, c.repository, "main", "docs/cost.md"))
	}
}
