package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProgressIsToldEveryTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := newProgress(&log, "downloading", 40e6)
		for range 10 {
			time.Sleep(500 * time.Millisecond)
			_, _ = p.Write(make([]byte, 4e6))
		}
		p.print()
		assert.Equal(t, `fetch: downloading: 16.0 MB of 40.0 MB, 8 MB/s
fetch: downloading: 32.0 MB of 40.0 MB, 8 MB/s
fetch: downloading: 40.0 MB of 40.0 MB, 8 MB/s
`, log.String())
	})
}
